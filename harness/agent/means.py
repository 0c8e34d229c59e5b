"""What a measurement may do on this device, and where the system keeps it: told once, not with every restart."""

import os
from typing import Any, Dict

from harness.agent import noise
from harness.agent.files import text
from harness.agent.programs import printed


def read(root: str = "/") -> Dict[str, Any]:
    """Return the fields of `results.records.Means` that the device tells.

    Whether real-time priority is allowed only trying tells: it is taken for a moment in which nothing else is done.
    """
    watch = noise.watch(root)
    if watch is not None:
        watch.close()
    with noise.Shield(1, root) as shield:
        refused = shield.refused
    told = {
        "marked_by": watch.name if watch is not None else None,
        "real_time": not refused,
        "refused": refused,
        "cores": len(os.sched_getaffinity(0)),
        "cpuset": text(root, "proc/self/cpuset"),
        "background_cpus": text(root, "dev/cpuset/background/cpus"),
        "is_android": os.path.exists(os.path.join(root, "system/bin/dumpsys")),
        "low_power": _low_power(root),
    }
    return {key: value for key, value in told.items() if value not in (None, "")}


def _low_power(root: str) -> Any:
    """Whether Android saves its battery, None where nothing tells."""
    said = printed(os.path.join(root, "system/bin/cmd"), "settings", "get", "global", "low_power").strip()
    return {"0": False, "1": True, "null": False}.get(said)
