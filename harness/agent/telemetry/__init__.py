"""What state the device is in: one small file a source, merged. What is not there is left out: never invented.

A source has `read(root)`, which returns part of the snapshot from the files below `root`, the device's file system; it
keeps out what the device does not have. Another one is put into READERS, and its keys into `results.records.Telemetry`.
"""

from typing import Any, Dict

from harness.agent.telemetry import (
    android,
    cgroup,
    clock,
    cpu,
    cpufreq,
    energy,
    nvpmodel,
    power,
    proc,
    raspberry,
    thermal,
)

READERS = (clock, proc, cgroup, cpufreq, cpu, thermal, power, energy, nvpmodel, raspberry, android)


def snapshot(root: str = "/") -> Dict[str, Any]:
    """Return all that the sources tell; of what two tell the later one counts, where it is a table each entry of it."""
    found = {}  # type: Dict[str, Any]
    for reader in READERS:
        try:
            said = reader.read(root)
        except Exception as exc:  # noqa: BLE001 - a sensor's driver may do anything, and the samples are good
            found.setdefault("errors", []).append("{}: {}".format(reader.__name__, exc)[:200])
            continue
        for key, value in said.items():
            found[key] = dict(found.get(key, {}), **value) if isinstance(value, dict) else value
    return found
