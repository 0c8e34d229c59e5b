"""How busy the device is, with whose work, and how much a hypervisor takes from it, from /proc."""

import os
import re
from typing import Any, Dict

from harness.agent.files import numbers, text


def read(root: str) -> Dict[str, Any]:
    """Return `load_1min` and `runnable`; the ticks of all CPUs and of this process; the time that tasks waited."""
    load = re.match(r"(\S+) \S+ \S+ (\d+)/", text(root, "proc/loadavg"))
    waited = re.search(r"^some .*total=(\d+)", text(root, "proc/pressure/cpu"), re.M)
    told = {
        **({"load_1min": load.group(1), "runnable": load.group(2)} if load else {}),
        **({"pressure_us": waited.group(1)} if waited else {}),
    }
    return {**numbers(told), **_ticks(text(root, "proc/stat").split("\n")[0].split())}


def _ticks(fields: Any) -> Dict[str, Any]:
    """Return ticks since the start from the first line of /proc/stat; guests are in `user` and `nice` already."""
    if len(fields) < 9 or fields[0] != "cpu":
        return {}
    user, nice, system, idle, waiting, interrupts, soft, stolen = (int(field) for field in fields[1:9])
    return {
        "busy_ticks": user + nice + system + interrupts + soft,
        "idle_ticks": idle + waiting,
        "steal_ticks": stolen,
        # with the children that have ended: benchmark tools are some
        "own_ticks": sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK"),
    }
