"""What a comparison will find on a device of a given noise, before it is measured; and what it finds in vain. Pure.

Sizes of noise and effects are fractions of the latency. Nights are simulated: restarts lie log-normally around their
measurement, and that around the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log1p, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike

from results.judge.change.comparison import ALPHA, LEAST_EFFECT, compare
from results.judge.change.mannwhitney import Values, critical, differences

RESTARTS, BASELINE = 5, 15
"""Those of the standard profile, and three nights of it."""

_NIGHTS, _AT_ONCE = 20_000, 1000
_FEWEST_RESTARTS = 5
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Nights:
    """Simulated nights, each by the smallest slowdown (a fraction) that would have been found in it, in rising order.

    Less than 0 is a false alarm; infinite what so few restarts cannot find however large.
    """

    needed: Values

    def found(self, effect: float) -> float:
        """The share of nights in which a slowdown by this fraction is found: the power of the gate."""
        return float(np.searchsorted(self.needed, effect, side="right")) / self.needed.size

    @property
    def false_alarms(self) -> float:
        """The share of nights that say `slower` of what is as fast as before."""
        return self.found(0.0)

    def smallest(self, share: float = 0.9) -> float:
        """The smallest slowdown that is found in this share of nights."""
        return float(self.needed[ceil(share * self.needed.size) - 1])


def simulated(
    spread: float,
    *,
    restarts: int = RESTARTS,
    baseline: int = BASELINE,
    between: float = 0.0,
    least: float = LEAST_EFFECT,
    family: int = 1,
    seed: int = 0,
) -> Nights:
    """20,000 nights of a device whose restarts spread by `spread` (standard deviation), through the gate of `compare`.

    `between` is what all restarts of one measurement share and the next one does not; the baseline is of measurements
    with as many restarts as tonight's. `least` is the `comparison.least_effect` of the case; of a family of series
    each has to pass Holm's first and strictest step. Some 20 ms for 5 restarts against 15.

    A slowdown moves tonight's logarithms against the baseline's. It is found as soon as it lifts U to the critical
    value, for which so many differences between pairs have to be positive, and their median to the least effect; so
    one night, simulated once, tells the smallest slowdown that it would have shown.
    """
    rng = np.random.default_rng(seed)
    pairs = restarts * baseline
    rank = critical(restarts, baseline, ALPHA / family)
    if rank > pairs:
        return Nights(np.full(_NIGHTS, np.inf))
    needed = np.empty(_NIGHTS)
    for begin in range(0, _NIGHTS, _AT_ONCE):
        tonight = _measured(rng, spread, between, restarts, 1)
        before = _measured(rng, spread, between, restarts, ceil(baseline / restarts))[:, :baseline]
        lacking = differences(before, tonight)
        middle = np.median(lacking[:, (pairs - 1) // 2 : pairs // 2 + 1], axis=1)
        needed[begin : begin + _AT_ONCE] = np.maximum(lacking[:, rank - 1], middle + log1p(least))
    return Nights(np.expm1(np.sort(needed)))


def restarts_for(spread: float, half_width: float = 0.01) -> int:
    """How many restarts give a median that is known to within this fraction either way, at 95 %.

    Of n draws of a normal distribution the median has the standard error sqrt(pi / 2) * spread / sqrt(n). From five
    restarts on the bootstrap's interval is within a fifth of that; of fewer it is too narrow, so five are the least.
    """
    return max(_FEWEST_RESTARTS, ceil((_NORMAL_95 * sqrt(pi / 2) * spread / half_width) ** 2))


def false_alarms(
    measurements: Sequence[ArrayLike], *, baseline: int = BASELINE, floor: float = 0.0, most: int = 500, seed: int = 0
) -> tuple[int, int]:
    """How often a case, measured several times with nothing changed, is called slower, and of how many comparisons.

    `measurements` are the medians (ms) of each one's restarts. `compare` holds each against others that are drawn at
    random until they have `baseline` restarts together. They are drawn whole, as nights are: what the restarts of one
    share must not be mixed away. The same choice counts once, and there are at most `most`; none where the measurements
    are too few. The choices share their restarts: the error of the share found is that of so many measurements.
    """
    medians = [np.asarray(one, dtype=np.float64).ravel() for one in measurements]
    rng = np.random.default_rng(seed)
    drawn: set[tuple[int, frozenset[int]]] = set()
    for _ in range(most if medians else 0):
        tonight, *others = (int(place) for place in rng.permutation(len(medians)))
        sizes = np.cumsum([medians[place].size for place in others])
        needed = int(np.searchsorted(sizes, baseline)) + 1
        if needed <= len(others):
            drawn.add((tonight, frozenset(others[:needed])))
    alarms = 0
    for tonight, before in drawn:
        found = compare(medians[tonight], np.concatenate([medians[place] for place in sorted(before)]), floor=floor)
        alarms += found.verdict == "slower"
    return alarms, len(drawn)


def _measured(rng: np.random.Generator, spread: float, between: float, restarts: int, count: int) -> Values:
    """Logarithms of restart medians of so many measurements in each of the nights simulated at once."""
    shared = rng.normal(0, between, (_AT_ONCE, count, 1)) if between else 0.0
    values = rng.normal(0, spread, (_AT_ONCE, count, restarts)) + shared
    return values.reshape(_AT_ONCE, count * restarts)
