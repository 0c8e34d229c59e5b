"""The share of the CPUs that this process's control groups may have, and the time for which it was used up.

Of the process's own group and all above it that can be seen: `cpu.max` and `cpu.stat` of the second version
(https://docs.kernel.org/admin-guide/cgroup-v2.html), `cpu.cfs_*` and `cpu.stat` of the first
(https://docs.kernel.org/scheduler/sched-bwc.html).
"""

import os
from typing import Any, Dict, Iterator

from harness.agent.files import UNKNOWN, number, text

_CONTROLLERS = {"cgroup": "cpu", "cgroup2": ""}  # file system -> what /proc/self/cgroup calls the one with the CPUs


def read(root: str) -> Dict[str, Any]:
    """Return `cpu_quota`, the least, in CPUs; summed over the groups `quota_periods`, how many of them were `throttled`
    and for how long, which counts each CPU that had to wait.
    """
    found, quotas = {}, []  # type: Dict[str, Any], Any
    for group in _groups(root):
        # cpu.max is "max 100000" without a limit, the quota of the first version -1
        said = text(group, "cpu.max").split() or [text(group, "cpu.cfs_" + name) for name in ("quota_us", "period_us")]
        quota, period = number(said[0]), number(said[-1])
        if UNKNOWN not in (quota, period) and quota > 0 and period > 0:
            quotas.append(quota / period)
        lines = (line.split() for line in text(group, "cpu.stat").split("\n"))
        stat = {line[0]: int(line[1]) for line in lines if len(line) == 2}
        if "nr_throttled" in stat:
            told = {
                "quota_periods": stat.get("nr_periods", 0),
                "quota_throttled_periods": stat["nr_throttled"],
                "quota_throttled_us": stat.get("throttled_usec", stat.get("throttled_time", 0) // 1000),
            }
            found.update({key: found.get(key, 0) + value for key, value in told.items()})
    return {**found, **({"cpu_quota": min(quotas)} if quotas else {})}


def _groups(root: str) -> Iterator[str]:
    """Yield the folders of the process's own group and of those above it, in each hierarchy that may have the CPUs."""
    own = {}
    for line in text(root, "proc/self/cgroup").split("\n"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        own.update(dict.fromkeys(controllers.split(","), path))
    for line in text(root, "proc/self/mountinfo", 1 << 20).split("\n"):
        place, _, kind = line.partition(" - ")
        fields, kinds = place.split(" "), kind.split(" ")
        controller = _CONTROLLERS.get(kinds[0])
        if controller is None or controller not in own or len(fields) < 5:
            continue
        if controller and controller not in kinds[-1].split(","):
            continue
        # a container sees its group as the root of the mount, by whatever path
        within = os.path.relpath(own.pop(controller), fields[3])
        parts = [] if within.split("/")[0] in (".", "..") else within.split("/")
        for depth in range(len(parts), -1, -1):
            yield os.path.join(root, fields[4].lstrip("/"), *parts[:depth])
