"""The temperatures, from the kernel's thermal zones, and what is done to lower them, from its cooling devices."""

import glob
import os
from typing import Any, Dict

from harness.agent.files import UNKNOWN, number, text


def read(root: str) -> Dict[str, Any]:
    """Return tables by type: `temperature_c` of the zones in degrees Celsius; `cooling`, from 0 at rest to 1.

    Of several of one type the hottest, or the one that works hardest.
    """
    base = os.path.join(glob.escape(root), "sys/class/thermal")
    zones, cooling = {}, {}  # type: Dict[str, Any], Dict[str, Any]
    for zone in sorted(glob.glob(os.path.join(base, "thermal_zone*"))):
        _keep(zones, zone, number(text(zone, "temp"), 0.001))
    for device in sorted(glob.glob(os.path.join(base, "cooling_device*"))):
        now, most = number(text(device, "cur_state")), number(text(device, "max_state"))
        # some say -1 for "does not apply"
        _keep(cooling, device, now / most if UNKNOWN not in (now, most) and most > 0 and now >= 0 else UNKNOWN)
    return {**({"temperature_c": zones} if zones else {}), **({"cooling": cooling} if cooling else {})}


def _keep(found: Dict[str, Any], folder: str, now: Any) -> None:
    kind = text(folder, "type") or UNKNOWN
    before = found.get(kind, UNKNOWN)
    if before == UNKNOWN or (now != UNKNOWN and now > before):
        found[kind] = now
