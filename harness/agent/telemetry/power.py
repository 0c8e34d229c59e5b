"""Where the power comes from: mains, USB or a battery, and its charge, from the kernel's power supplies."""

import os
from typing import Any, Dict

from harness.agent.files import UNKNOWN, listing, number, text


def read(root: str) -> Dict[str, Any]:
    """Return `power_source`, those in use, and of a battery its charge in percent and its temperature.

    Batteries of mice and keyboards are not the device's.
    """
    base = os.path.join(root, "sys/class/power_supply")
    found, sources, battery = {}, [], False  # type: Dict[str, Any], Any, bool
    for name in sorted(listing(base)):
        folder = os.path.join(base, name)
        kind = text(folder, "type").lower().split("_")[0]  # USB_PD is USB
        if kind == "battery" and text(folder, "scope") != "Device":
            battery = True
            charge, tenths = number(text(folder, "capacity")), number(text(folder, "temp"), 0.1)
            found.update({} if charge == UNKNOWN else {"battery_percent": charge})
            found.update({} if tenths == UNKNOWN else {"battery_c": tenths})
        elif kind in ("mains", "usb", "wireless") and text(folder, "online") == "1":
            sources.append(kind)
    if battery and not sources:
        sources = ["battery"]
    return {**found, **({"power_source": sources} if sources else {})}
