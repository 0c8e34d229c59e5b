"""What state the device is in: one small file a source, merged. What is not there is left out: never invented.

A source has `read(root)`, which returns part of the snapshot from the files below `root`, the device's file system; it
keeps out what the device does not have. Another one is put into READERS, and its keys into `results.records.Telemetry`.
"""

from typing import Any, Dict, Iterable

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

COUNTERS = (clock, proc, cgroup)
HEAT = (cpufreq, thermal, android)
READERS = (*COUNTERS, cpufreq, cpu, thermal, power, energy, nvpmodel, raspberry, android)


def snapshot(root: str = "/") -> Dict[str, Any]:
    """Return all that the sources tell; of what two tell the later one counts, where it is a table each entry of it."""
    return _merged(READERS, root)


def counters(root: str = "/") -> Dict[str, Any]:
    """Return what counts up and is read at once: what goes on from here can be told by a later snapshot."""
    return _merged(COUNTERS, root)


def heat(root: str = "/") -> Dict[str, Any]:
    """Return how warm the device is and how fast its cores run."""
    return _merged(HEAT, root)


def _merged(readers: Iterable[Any], root: str) -> Dict[str, Any]:
    found = {}  # type: Dict[str, Any]
    for reader in readers:
        try:
            said = reader.read(root)
        except Exception as exc:  # noqa: BLE001 - a sensor's driver may do anything, and the samples are good
            found.setdefault("errors", []).append("{}: {}".format(reader.__name__, exc)[:200])
            continue
        for key, value in said.items():
            found[key] = dict(found.get(key, {}), **value) if isinstance(value, dict) else value
    return found
