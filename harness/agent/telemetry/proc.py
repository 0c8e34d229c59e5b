"""How busy the device is, and how much a hypervisor takes from it, from /proc."""

from typing import Any, Dict

from harness.agent.files import number, text


def read(root: str) -> Dict[str, Any]:
    """Return `load_1min` and `steal_ticks` since the start."""
    load = text(root, "proc/loadavg").split()
    stat = text(root, "proc/stat").split("\n")[0].split()
    return {
        **({"load_1min": number(load[0])} if load else {}),
        **({"steal_ticks": number(stat[8])} if len(stat) > 8 and stat[0] == "cpu" else {}),
    }
