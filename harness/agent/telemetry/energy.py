"""Energy and power where there is a meter: RAPL's counters, and the INA sensors of boards like a Jetson."""

import glob
import os
from typing import Any, Dict

from harness.agent.files import UNKNOWN, number, text

_CHANNELS = (1, 2, 3)  # https://docs.kernel.org/hwmon/ina3221.html; further ones are sums and shunts


def read(root: str) -> Dict[str, Any]:
    """Return tables by name: `energy_uj`, microjoules since some start, and `energy_range_uj`, where that begins anew
    at zero; `power_w`.
    """
    energy, ranges, power = {}, {}, {}  # type: Dict[str, Any], Dict[str, Any], Dict[str, Any]
    # only root may read the counters of most kernels (https://docs.kernel.org/power/powercap/powercap.html)
    for zone in sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/powercap/*:*"))):
        name = "{} {}".format(os.path.basename(zone), text(zone, "name"))
        energy[name], ranges[name] = number(text(zone, "energy_uj")), number(text(zone, "max_energy_range_uj"))
    for sensor in sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/hwmon/hwmon*"))):
        if text(sensor, "name").startswith("ina"):
            power.update(_watts(sensor))
    told = {"energy_uj": energy, "energy_range_uj": ranges, "power_w": power}
    found = {key: {name: one for name, one in table.items() if one != UNKNOWN} for key, table in told.items()}
    return {key: table for key, table in found.items() if table}


def _watts(sensor: str) -> Dict[str, Any]:
    """Return label -> watts of an INA3221, or of one of its kin that has a single channel and computes the power."""
    found = {}
    for channel in _CHANNELS:
        millivolts = number(text(sensor, "in{}_input".format(channel)), 0.001)
        amperes = number(text(sensor, "curr{}_input".format(channel)), 0.001)
        label = text(sensor, "in{}_label".format(channel)) or "{} {}".format(os.path.basename(sensor), channel)
        if UNKNOWN not in (millivolts, amperes):
            found[label] = millivolts * amperes
    alone = number(text(sensor, "power1_input"), 1e-6)
    return {"{} power".format(os.path.basename(sensor)): alone} if alone != UNKNOWN else found
