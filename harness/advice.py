"""What to do about a device that works, but not as well as it could."""

from __future__ import annotations

from harness import thermal
from harness.fleet import Device
from harness.protocol import Probe

_SCARCE_BYTES = 1 << 30
_OLDEST = (3, 8)


def advice(device: Device, probe: Probe) -> list[str]:
    """Return sentences about a device's Python, disk, cores, governor and sensors; none when all is well."""
    found = []
    version = str(probe.system.get("python", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST:
        found.append(f"Python {version} is too old, 3.8 is needed: name a newer one with python = …")
    free = probe.system.get("free_bytes")
    if isinstance(free, int) and free < _SCARCE_BYTES:
        found.append(f"only {free / 2**20:.0f} MiB are free there: make room, or name another folder with root = …")
    cpus = probe.system.get("cpus")
    if isinstance(cpus, int) and device.core_set() and max(device.core_set() or [0]) >= cpus > 0:
        found.append(f"cores = {device.cores!r}: the device has only 0-{cpus - 1}")
    governor = probe.telemetry.get("governor")
    if isinstance(governor, list) and governor != ["performance"]:
        named = ", ".join(map(str, governor))
        found.append(f"the governor is {named}: latencies swing less with performance (cpupower frequency-set)")
    if thermal.hottest(probe.telemetry) is None and device.max_temperature_c is not None:
        found.append("no temperature can be read, so max_temperature_c changes nothing")
    return found
