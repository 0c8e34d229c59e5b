"""What state the device is in: one small file a source, merged. What is not there is `unknown`: never invented.

A source has `read(root)`, which returns part of the snapshot from the files below `root`, the device's file system; it
keeps out what the device does not have. Another one is put into READERS, and its keys into `results.records.Telemetry`.
"""

from typing import Any, Dict

from harness.agent.files import UNKNOWN
from harness.agent.telemetry import cpufreq, nvpmodel, proc, thermal

READERS = (cpufreq, nvpmodel, proc, thermal)

KEYS = ("power_mode", "governor", "frequency_khz", "temperature_c", "load_1min", "steal_ticks")


def snapshot(root: str = "/") -> Dict[str, Any]:
    """Return power mode, governor, frequency, temperature, load, steal time, and whatever else a source tells."""
    found = dict.fromkeys(KEYS, UNKNOWN)  # type: Dict[str, Any]
    for reader in READERS:
        try:
            found.update(reader.read(root))
        except Exception as exc:  # noqa: BLE001 - a sensor's driver may do anything, and the samples are good
            found.setdefault("errors", []).append("{}: {}".format(reader.__name__, exc)[:200])
    return found
