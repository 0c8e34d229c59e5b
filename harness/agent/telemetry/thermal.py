"""The temperatures, from the kernel's thermal zones."""

import glob
import os
from typing import Any, Dict

from harness.agent.files import UNKNOWN, number, text


def read(root: str) -> Dict[str, Any]:
    """Return `temperature_c`: type -> degrees Celsius of the zones, of several of one type the hottest."""
    found = {}  # type: Dict[str, Any]
    for zone in sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/thermal/thermal_zone*"))):
        kind, now = text(zone, "type") or UNKNOWN, number(text(zone, "temp"), 0.001)
        before = found.get(kind, UNKNOWN)
        if before == UNKNOWN or (now != UNKNOWN and now > before):
            found[kind] = now
    return {"temperature_c": found} if found else {}
