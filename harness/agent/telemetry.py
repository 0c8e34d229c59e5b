"""What state the device is in, read from files. What is not there is `unknown`: never invented, never blank."""

import glob
import math
import os
import re
from typing import Any, Dict

UNKNOWN = "unknown"


def _read(path: str, limit: int = 4096) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read(limit).strip() or UNKNOWN
    except OSError:
        return UNKNOWN


def _number(text: str, scale: float = 1.0) -> Any:
    try:
        number = float(text) * scale
    except ValueError:
        return UNKNOWN
    return number if math.isfinite(number) else UNKNOWN


def power_mode(root: str = "/") -> str:
    """Return a Jetson's power mode by its name, from nvpmodel's own files: to ask the program may need root."""
    models = _read(os.path.join(root, "etc/nvpmodel.conf"), 1 << 20)
    chosen = re.search(r"pmode:(\d+)", _read(os.path.join(root, "var/lib/nvpmodel/status")))
    chosen = chosen or re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", models, re.M)  # never changed since it was flashed
    names = dict(re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", models, re.M))
    return names.get(str(int(chosen.group(1))), UNKNOWN) if chosen else UNKNOWN


def _temperatures(root: str) -> Dict[str, Any]:
    """Return type -> degrees Celsius of the thermal zones, of several of one type the hottest."""
    found = {}  # type: Dict[str, Any]
    for zone in sorted(glob.glob(os.path.join(root, "sys/class/thermal/thermal_zone*"))):
        kind, now = _read(os.path.join(zone, "type")), _number(_read(os.path.join(zone, "temp")), 0.001)
        before = found.get(kind, UNKNOWN)
        if before == UNKNOWN or (now != UNKNOWN and now > before):
            found[kind] = now
    return found


def snapshot(root: str = "/") -> Dict[str, Any]:
    """Return power mode, governor, frequency, temperature, load, steal time; `root` is the device's file system."""
    cpus = sorted(glob.glob(os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq")))
    stat = _read(os.path.join(root, "proc/stat")).split("\n")[0].split()
    return {
        "power_mode": power_mode(root),
        "governor": sorted({_read(os.path.join(cpu, "scaling_governor")) for cpu in cpus}) or UNKNOWN,
        "frequency_khz": [_number(_read(os.path.join(cpu, "scaling_cur_freq"))) for cpu in cpus] or UNKNOWN,
        "temperature_c": _temperatures(root) or UNKNOWN,
        "load_1min": _number(_read(os.path.join(root, "proc/loadavg")).split()[0]),
        "steal_ticks": _number(stat[8]) if len(stat) > 8 and stat[0] == "cpu" else UNKNOWN,
    }


def peak_rss_bytes(children: bool = False) -> Any:
    """Return this process's peak resident set, or that of the largest process it started.

    VmHWM rather than getrusage: the latter starts at the peak of the process that forked this one. Of a child that has
    ended there is nothing else, so that a small one has the agent's.
    """
    if children:
        import resource

        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    for line in _read("/proc/self/status").split("\n"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
