"""When a case has been measured often enough: how well its median is known from the restarts so far. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf, pi, sqrt

import numpy as np

from results.judge import statistics
from results.records import Stopping

MAX_RELATIVE_SPREAD = 0.10
"""Restart medians that differ by more than this share are not one number."""

_T_975 = (12.706, 4.303, 3.182, 2.776)
_Z_975 = 1.95996


def half_width(medians: Sequence[float]) -> float:
    """The half width of the 95 % interval of restart medians, as a share of their median; infinite below two.

    By Student's t, because the bootstrap's interval in the row is too narrow of few restarts; of seven and more by the
    standard error of a median, sqrt(pi / 2) that of a mean, which the bootstrap's is about as wide as.
    """
    values = np.asarray(medians, dtype=np.float64)
    middle = float(np.median(values)) if values.size else 0.0
    if values.size < 2 or middle <= 0:
        return float("inf")
    return _deviations(values.size) * float(np.std(values, ddof=1)) / middle


def gain(medians: Sequence[float]) -> float:
    """By how much one more restart is likely to narrow `half_width`: as it would if the spread stayed what it is."""
    width, count = half_width(medians), len(medians)
    return width if isinf(width) else width * (1 - _deviations(count + 1) / _deviations(count))


def _deviations(count: int) -> float:
    """How many standard deviations of restarts the interval of so many reaches either way."""
    return max(t_975(count - 1), _Z_975 * sqrt(pi / 2)) / sqrt(count)


def interval(samples: statistics.Samples, seed: int, *, aggregated: bool) -> tuple[float, float]:
    """The 95 % interval; the bootstrap's is too narrow for 3 or 4 restarts, where Student's t widens it."""
    low, high = statistics.interval(samples, seed=seed)
    if aggregated or not 3 <= len(samples) < statistics.FEW_RESTARTS:
        return low, high
    median = statistics.center(samples)
    half = median * half_width(statistics.restart_medians(samples).tolist())
    return max(0.0, min(low, median - half)), max(high, median + half)


def t_975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t; from 5 degrees of freedom on by its expansion, within 1 %.

    Abramowitz & Stegun 1964, 26.7.5, the first two terms.
    """
    if degrees <= len(_T_975):
        return _T_975[degrees - 1]
    z, n = _Z_975, degrees
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)


def is_wanting(medians: Sequence[float], target: float | None) -> bool:
    """Whether another restart is wanted: the medians are not one number, or not known well enough for the target."""
    spread = statistics.relative_spread(medians) if medians else None
    if spread is None or spread > MAX_RELATIVE_SPREAD:
        return True
    return target is not None and half_width(medians) > target


def next_case(medians: Mapping[str, Sequence[float]], target: float | None) -> str | None:
    """That case, of those that want another restart, whose interval it narrows most; None where none wants one.

    Of cases with equally many restarts that is the one whose median is known least well. One that had many already has
    to wait: else the noisiest would take them all, and be hardly better known.
    """
    wanting = {case_id: gain(found) for case_id, found in medians.items() if found and is_wanting(found, target)}
    return max(wanting, key=lambda case_id: wanting[case_id]) if wanting else None


def reach(median: float, interval: tuple[float, float]) -> float:
    """How far an interval reaches from its median, on the side where it is further, as a share of the median."""
    return max(interval[1] - median, median - interval[0]) / median


def in_words(median_ms: float, ci95_ms: tuple[float, float] | None, added: bool, stopping: Stopping) -> list[str]:
    """What a row says of restarts that were added, and of a target that was not reached."""
    words = ["restarts were added, as it was uncertain"] if added else []
    target = stopping.target
    if target is not None and ci95_ms is not None and median_ms > 0 and reach(median_ms, ci95_ms) > target:
        words.append(f"its 95 % interval reaches further than the {100 * target:.3g} % asked for")
    return words
