"""What the processor is allowed to do by itself, and did: boost, SMT, throttling; and whether it is a virtual one."""

import glob
import os
import re
from typing import Any, Dict

from harness.agent.files import UNKNOWN, number, switch, text


def read(root: str) -> Dict[str, Any]:
    """Return `boost`, `smt`, `virtual` as booleans and `hot_ms`, for how long a package was too hot since the start."""
    base = os.path.join(root, "sys/devices/system/cpu")
    not_boosted = switch(text(base, "intel_pstate/no_turbo"))
    told = {
        "boost": switch(text(base, "cpufreq/boost")) if not_boosted is None else not not_boosted,
        "smt": switch(text(base, "smt/active")),
        "virtual": _is_virtual(root),
        "hot_ms": _hot_ms(base),
    }
    return {key: value for key, value in told.items() if value is not None}


def _is_virtual(root: str) -> Any:
    """None where the processor would not tell: only that of x86 has a flag for it."""
    flags = re.search(r"^flags\s*:(.*)", text(root, "proc/cpuinfo"), re.M)
    if text(root, "sys/hypervisor/type"):
        return True
    return "hypervisor" in flags.group(1).split() if flags else None


def _hot_ms(base: str) -> Any:
    """From Intel's processors, https://docs.kernel.org/admin-guide/thermal/."""
    files = glob.glob(os.path.join(glob.escape(base), "cpu[0-9]*/thermal_throttle/package_throttle_total_time_ms"))
    known = [value for value in (number(text("/", file)) for file in files) if value != UNKNOWN]
    return max(known) if known else None
