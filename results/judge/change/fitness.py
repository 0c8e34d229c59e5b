"""Is a device fit to find changes? From measurements of one case made one after the other, nothing changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, pi, sqrt
from typing import Any

import numpy as np

from results.judge.change import planning
from results.judge.change.comparison import least_effect
from results.judge.change.mannwhitney import Values
from results.judge.measurement import Measurement, judge
from results.judge.statistics import MAD_TO_SIGMA, mad
from results.judge.validity import judge_restart
from results.records import Restart, Verdict

EFFECT, POWER = 0.05, 0.9
"""A device is fit where a slowdown by this fraction is found in this share of nights."""

FEWEST = 1 + planning.BASELINE // planning.RESTARTS
"""Measurements; one of fewer has no baseline to be held against."""

_LONG_MS = 100.0


@dataclass(frozen=True)
class Fitness:
    """What the measurements of one case say of a device; None is what too few of them say.

    `restarts` counts all that were made, repeated ones too, of which so many were contended, throttled or brought no
    numbers. `lost_share` is the share of their time that inferences waited for a core. `spread` is that of the restarts
    within a measurement, `floor` the standard deviation of the medians of measurements, `least` the effect from which
    on a change counts. Of `comparisons` of a measurement with others `alarms` say that it is slower. In nights like
    these (5 restarts against 15) a slowdown by `smallest` is found in 90 % of them (None: none is), by 5 % in the share
    `found`. `restarts_needed` are those for a median that is known to within 1 % either way. Shares are fractions.
    """

    measurements: int
    valid: int
    restarts: int
    contended: int
    throttled: int
    failed: int
    median_ms: float | None = None
    lost_share: float | None = None
    spread: float | None = None
    floor: float | None = None
    least: float | None = None
    comparisons: int = 0
    alarms: int = 0
    smallest: float | None = None
    found: float | None = None
    restarts_needed: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def is_fit(self) -> bool:
        """Whether a slowdown by 5 % is found in 90 % of nights."""
        return self.found is not None and self.found >= POWER

    @property
    def problem(self) -> str:
        """Why it is not, in words; "" where it is."""
        if self.is_fit:
            return ""
        if self.found is None:
            why = f": {self.reasons[-1]}" if self.reasons else ""
            return f"{self.valid} of {self.measurements} measurements are valid, and {FEWEST} are needed{why}"
        return (
            f"a slowdown by {EFFECT:.0%} is found in {self.found:.0%} of nights only: restarts differ by "
            f"{self.spread or 0:.1%}, whole measurements by {self.floor or 0:.1%}; "
            f"changes count from {self.least or 0:.1%} on"
        )


def fitness(measurements: Sequence[Measurement], made: Sequence[Restart]) -> Fitness:
    """Judge a device by measurements of one case in the order in which they were made.

    Only valid ones count, as in every comparison. `made` are all restarts, those that were repeated among them.
    """
    told = [judge(one) for one in measurements]
    valid = [one for one, (verdict, _) in zip(measurements, told, strict=True) if verdict is Verdict.VALID]
    first = measurements[0]
    judgments = [judge_restart(one, first.case, first.profile, first.best_probe_ns) for one in made]
    verdicts = [judgment.verdict for judgment in judgments]
    medians = [one.medians_ms for one in measurements if one.ok]
    lost = [split.lost_share for one in measurements for split in one.splits if split.lost_share is not None]
    found: dict[str, Any] = {
        "measurements": len(measurements),
        "valid": len(valid),
        "restarts": len(made),
        "contended": verdicts.count(Verdict.CONTENDED),
        "throttled": verdicts.count(Verdict.THROTTLED),
        "failed": sum(not judgment.has_numbers for judgment in judgments),
        "lost_share": float(np.mean(lost)) if lost else None,
        "median_ms": float(np.median(np.concatenate(medians))) if medians else None,
        "reasons": tuple(dict.fromkeys(f"{verdict.value}: {reason}" for verdict, reason in told if reason)),
    }
    return Fitness(**found, **_noise([one.medians_ms for one in valid]))


def spread_within(medians_ms: Sequence[Values]) -> float | None:
    """The spread of restarts around their own measurement, as a fraction; None where none has two.

    That of the logarithms' residuals, 1.4826 * MAD, each enlarged by sqrt(n / (n - 1)) since its measurement's mean is
    of n restarts, itself among them.
    """
    logs = [np.log(one) for one in medians_ms if one.size > 1]
    if not logs:
        return None
    residuals = np.concatenate([(one - one.mean()) * sqrt(one.size / (one.size - 1)) for one in logs])
    return MAD_TO_SIGMA * mad(residuals)


def noise_floor(medians_ms: Sequence[Values]) -> float | None:
    """How far whole measurements lie apart: the standard deviation of their medians' logarithms; None below two.

    Not by MAD, which of six is half the truth as often as not, and passes over the one that makes a false alarm.
    """
    centers = [float(np.median(one)) for one in medians_ms]
    return float(np.std(np.log(centers), ddof=1)) if len(centers) > 1 else None


def shared(floor: float, spread: float, restarts: float) -> float:
    """What all restarts of a measurement share and the next one does not: the part of the floor beyond the restarts'.

    The median of n restarts has the standard error sqrt(pi / 2 / n) * spread.
    """
    return sqrt(max(0.0, floor**2 - pi / 2 / restarts * spread**2))


def _noise(medians_ms: Sequence[Values]) -> dict[str, Any]:
    """What only several measurements say, from the restart medians of the valid ones."""
    spread = spread_within(medians_ms)
    floor = noise_floor(medians_ms)
    needed = None if spread is None else planning.restarts_for(spread)
    if spread is None or floor is None or len(medians_ms) < FEWEST:
        return {"spread": spread, "floor": floor, "restarts_needed": needed}
    middle = float(np.median([np.median(one) for one in medians_ms]))
    # As if it took long: that a change below 0.05 ms does not count is the model's, not the device's.
    medians = [one * _LONG_MS / middle for one in medians_ms]
    least = least_effect(_LONG_MS, floor)
    alarms, comparisons = planning.false_alarms(medians, floor=floor)
    between = shared(floor, spread, float(np.mean([one.size for one in medians_ms])))
    nights = planning.simulated(spread, between=between, least=least)
    smallest = nights.smallest(POWER)
    return {
        "spread": spread,
        "floor": floor,
        "least": least,
        "alarms": alarms,
        "comparisons": comparisons,
        "smallest": smallest if isfinite(smallest) else None,
        "found": nights.found(EFFECT),
        "restarts_needed": needed,
    }
