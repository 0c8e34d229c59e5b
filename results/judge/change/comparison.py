"""Is a case slower than before? One measurement against a baseline of others of the same fingerprint. NumPy only, pure.

What is compared are the medians of restarts, the unit of replication. The test is that of Mann and Whitney, since it
asks nothing of the distribution; the effect is the shift of Hodges and Lehmann between the logarithms, so that it is a
ratio: 0.05 is 5 % slower, whatever the unit.

A change has to be beyond chance, large enough to matter, and larger than what the device does by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import expm1, isfinite, log1p
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from results.judge.change.mannwhitney import Values, least_p, p_greater, shift

ALPHA = 0.002
"""A change is beyond chance below this p."""

LEAST_EFFECT, LEAST_MS, FLOORS = 0.03, 0.05, 3.0
"""A change matters from 3 %, 0.05 ms, and three times the device's noise floor on."""

FEWEST_BASELINE = 10
"""Restarts; fewer know too little of what is usual."""

Change = Literal["slower", "faster", "same", "no verdict"]


@dataclass(frozen=True)
class Comparison:
    """What a measurement says beside its baseline; `effect`, `interval` (95 %) and `least` are fractions of a latency.

    Without an effect there was nothing to compare, without an interval too little to state one. `least` is the effect
    from which on a change matters. Each p is one-sided, in a family of more than one after Holm's correction.
    """

    verdict: Change
    reason: str
    restarts: int
    baseline: int
    effect: float | None = None
    interval: tuple[float, float] | None = None
    least: float = LEAST_EFFECT
    p_slower: float = 1.0
    p_faster: float = 1.0
    family: int = 1

    @property
    def p(self) -> float:
        """That of the direction in which the effect points."""
        return self.p_faster if (self.effect or 0) < 0 else self.p_slower


def least_effect(baseline_ms: float, floor: float = 0.0) -> float:
    """From what change on it matters, as a fraction: the largest of 3 %, 0.05 ms and three times the noise floor.

    `floor` is the relative spread of what measurements of this device say from one to the next, nothing changed
    (`statistics.relative_spread` of their medians): what restarts share within a measurement is in it, and no test on
    restarts sees that. It is not the spread of restarts, which the test knows and five of them average out.
    """
    return max(LEAST_EFFECT, FLOORS * floor, LEAST_MS / baseline_ms)


def compare(restarts_ms: ArrayLike, baseline_ms: ArrayLike, *, floor: float = 0.0) -> Comparison:
    """Hold the medians of a measurement's restarts against those of its baseline, both in ms.

    `slower` or `faster` is what has p < 0.002 and an effect of at least `least_effect`. With fewer than 10 restarts in
    the baseline, or so few in all that no p falls below 0.002, there is no verdict. ValueError for what is no duration.
    """
    new, old = _durations(restarts_ms), _durations(baseline_ms)
    found = Comparison("no verdict", "", new.size, old.size)
    if not new.size or not old.size:
        return _judged(found)
    low, value, high = shift(np.log(new), np.log(old))
    found = replace(found, effect=expm1(value), interval=(expm1(low), expm1(high)) if isfinite(high) else None)
    least = least_effect(float(np.median(old)), floor)
    return _judged(replace(found, least=least, p_slower=p_greater(new, old), p_faster=p_greater(old, new)))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one night, judged anew by p after Holm's correction over those that have a verdict.

    Both directions are a family each. A family of many asks more of each: where 5 restarts against 15 can reach
    p < 0.002 in a family of 31 at most, 5 against 30 can in one of 649. What cannot any more has no verdict.
    """
    told = [one for one in comparisons if one.verdict != "no verdict"]
    slower, faster = holm([one.p_slower for one in told]), holm([one.p_faster for one in told])
    anew = (
        _judged(replace(one, p_slower=p_slower, p_faster=p_faster, family=len(told)))
        for one, p_slower, p_faster in zip(told, slower, faster, strict=True)
    )
    return [one if one.verdict == "no verdict" else next(anew) for one in comparisons]


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for their number: how likely it is that chance alone makes any of so many so small (Holm 1979).

    The least is multiplied by their number, the next by one less and so on, each at least the one before and at most 1.
    """
    array = np.asarray(ps, dtype=np.float64)
    order = np.argsort(array, kind="stable")
    steps = np.maximum.accumulate(array[order] * np.arange(array.size, 0, -1))
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(p) for p in adjusted]


def _judged(found: Comparison) -> Comparison:
    """The comparison with its verdict by what else it holds."""
    n, m, family = found.restarts, found.baseline, found.family
    if m < FEWEST_BASELINE or found.effect is None:
        few = f"the baseline has {m} restarts, and at least {FEWEST_BASELINE} are needed"
        return replace(found, verdict="no verdict", reason=few if n else "nothing was measured")
    is_beyond_chance = found.p < ALPHA
    matters = abs(log1p(found.effect)) >= log1p(found.least)
    if is_beyond_chance and matters:
        return replace(found, verdict="slower" if found.effect > 0 else "faster", reason=f"{_told(found)}, {_p(found)}")
    if least_p(n, m) * family >= ALPHA:
        few = f"{n} restarts against {m} cannot be beyond chance: at best p={least_p(n, m) * family:.2g}"
        return replace(found, verdict="no verdict", reason=f"{few}, and less than {ALPHA:g} is asked for")
    if is_beyond_chance:
        why = f"beyond chance ({_p(found)}), but changes count from {found.least:.1%} on"
    elif matters:
        why = f"chance alone may do that: {_p(found)}, and less than {ALPHA:g} is asked for"
    else:
        why = f"less than the {found.least:.1%} from which on changes count, and {_p(found)}"
    return replace(found, verdict="same", reason=f"{_told(found)}: {why}")


def _told(found: Comparison) -> str:
    effect = found.effect or 0.0
    within = "" if found.interval is None else " (95%: {:+.1%} to {:+.1%})".format(*found.interval)
    return f"{abs(effect):.1%} {'slower' if effect >= 0 else 'faster'}{within}"


def _p(found: Comparison) -> str:
    return f"p={found.p:.2g}" + (f" among {found.family} series" if found.family > 1 else "")


def _durations(of: ArrayLike) -> Values:
    array = np.asarray(of, dtype=np.float64).ravel()
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError("durations are finite and larger than 0")
    return array
