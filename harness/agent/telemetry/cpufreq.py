"""The governors and frequencies of the cores, from cpufreq."""

import glob
import os
from typing import Any, Dict

from harness.agent.files import number, text


def read(root: str) -> Dict[str, Any]:
    """Return `governor`, each that is in force on some core, and `frequency_khz`, one a core."""
    cores = sorted(glob.glob(os.path.join(glob.escape(root), "sys/devices/system/cpu/cpu[0-9]*/cpufreq")))
    governors = sorted({text(core, "scaling_governor") for core in cores} - {""})
    frequencies = [number(text(core, "scaling_cur_freq")) for core in cores]
    return {
        **({"governor": governors} if governors else {}),
        **({"frequency_khz": frequencies} if frequencies else {}),
    }
