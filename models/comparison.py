"""How far an output may be off and still be right. docs/measurement.md says what these numbers were found from."""

from __future__ import annotations

import math

_MOST = 1e308  # a limit is a finite number, for JSON

# Beside the tolerance, floats may be off by some units of their type at 1: an output near 0 is often made of numbers
# near 1. float64 has the units of float32, in which runtimes compute it where they like; of float16 half a unit is
# much already.
_FLOOR = 4 * 2.0**-23
_FLOORS = {"float16": 2.0**-11}

STEPS, STEPS_RMS = 4.0, 2.0
"""How many steps of its scale an element of a quantized output, and all in the root mean square, may be off."""
_MOST_STEPS, _MOST_RMS = 64.0, 10.0  # of 256, however far the kernels of this host are from one another

SNR_MARGIN_DB = 6.0
LEAST_SNR_DB = {"fp16": 30.0, "bf16": 10.0}
"""Of fp32 files that a runtime computes in a lower precision: 10 dB below the least that docs/precision.md found."""


def float_limit(dtype: str, tolerance: float, largest: float) -> float:
    """The largest difference of an output of floats whose largest magnitude is `largest`."""
    return min(tolerance * largest + _FLOORS.get(dtype, _FLOOR), _MOST)


def step_limits(dtype: str, most: float, rms: float, layers: int) -> tuple[float, float]:
    """The largest difference of a quantized output, and in the root mean square, in steps of its scale.

    `most` and `rms` are how far two right computations on this host are from one another: a deep network makes more of
    a rounding than a shallow one, and `layers` says how deep it is. Kernels of 16 bits round alike here, and about a
    step apart elsewhere in each layer.
    """
    if "16" in dtype or "32" in dtype:
        return STEPS * layers + 2 * most + 8 * rms, STEPS_RMS * layers + 3 * rms
    more = min(layers // 16, 10) + 2 * most + 8 * rms
    return min(STEPS + more, _MOST_STEPS), min(STEPS_RMS + 3 * rms, _MOST_RMS)


def relative_steps(tolerance: float, largest: float) -> float:
    """The steps that a share of the largest magnitude, itself in steps, comes to."""
    return float(math.ceil(tolerance * largest))


def least_snr_db(found_db: float, precision: str) -> float:
    """What the signal-to-noise ratio of a device's output must be at least, for a file that had `found_db` here.

    Kernels round in other places, which moves the ratio by a few dB. Half precision is more than rounding: one runtime
    adds up in float32 what another adds up in float16, so its ratio is bounded from below as for a computation that
    was merely asked for (`LEAST_SNR_DB`).
    """
    return min(found_db - SNR_MARGIN_DB, LEAST_SNR_DB.get(precision, _MOST))
