"""The governors of the cores, what they run at and within which limits, from cpufreq."""

import os
import re
from typing import Any, Dict

from harness.agent.files import UNKNOWN, listing, number, text

_FILES = {
    "frequency_khz": "scaling_cur_freq",
    "frequency_least_khz": "scaling_min_freq",
    "frequency_limit_khz": "scaling_max_freq",
    "frequency_most_khz": "cpuinfo_max_freq",
}


def read(root: str) -> Dict[str, Any]:
    """Return `governor`, each that is in force on some core, and of each core its frequency, the least and the most
    that it may run at, and the most that it can.
    """
    base = os.path.join(root, "sys/devices/system/cpu")
    numbers = sorted(int(name[3:]) for name in listing(base) if re.fullmatch(r"cpu\d+", name))
    policies, cores = {}, []  # type: Dict[Any, Dict[str, Any]], Any
    for core in numbers:
        folder = os.path.join(base, "cpu{}/cpufreq".format(core))
        try:
            there = os.stat(folder)
        except OSError:
            continue
        one = there.st_dev, there.st_ino  # cores that share a policy have the same folder
        if one not in policies:
            told = {key: number(text(folder, name)) for key, name in _FILES.items()}
            policies[one] = dict(told, governor=text(folder, "scaling_governor"))
        cores.append(policies[one])
    governors = sorted({core["governor"] for core in cores} - {""})
    found = {key: [core[key] for core in cores] for key in _FILES}
    return {
        **({"governor": governors} if governors else {}),
        **{key: values for key, values in found.items() if any(value != UNKNOWN for value in values)},
    }
