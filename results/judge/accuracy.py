"""Numbers of one evaluation, from true classes and predicted ones. NumPy only; every function is pure.

`labels` are the true classes of the samples, whole numbers of shape (n,); `right` says of each sample whether its class
was named, booleans of shape (n,). Shares are between 0 and 1: percent are made where a figure is worded or recorded.

All intervals are those of the model on the population that the samples were drawn from, also when every sample of a
data set was evaluated: that the set is at an end says nothing of the next image. What a file has lost against another
on the very same samples is known much better than either accuracy; `loss` and `mcnemar` are for that.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.records import MOST_DB

Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
BINS = 15

Labels = NDArray[np.integer[Any]]
Right = NDArray[np.bool_]
Shares = NDArray[np.float64]
Interval = tuple[float, float]


def among_best(labels: Labels, top: Labels, count: int) -> Right:
    """Whether the true class is among the `count` best of `top` (n x k, the best first): top-1, top-5."""
    named: Right = (top[:, :count] == labels[:, None]).any(axis=1)
    return named


def wilson(right: int, samples: int) -> Interval:
    """95 % interval of a share by Wilson's score method (Wilson 1927), without a continuity correction.

    It holds the share itself, never leaves [0, 1], and keeps its level near 0 and 1 and for few samples, where the
    normal interval does not (Brown, Cai & DasGupta 2001). (0, 1) without samples.
    """
    if samples == 0:
        return 0.0, 1.0
    share, z2 = right / samples, Z_95 * Z_95
    middle = (share + z2 / (2 * samples)) / (1 + z2 / samples)
    half = Z_95 / (1 + z2 / samples) * sqrt(share * (1 - share) / samples + z2 / (4 * samples * samples))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def margin(samples: int, share: float = 0.9) -> float:
    """Half the width of Wilson's interval that so many samples will give around a share: what N samples buy."""
    low, high = wilson(round(share * samples), samples)
    return (high - low) / 2


def recalls(labels: Labels, right: Right, classes: int) -> Shares:
    """The share of right answers of each class, of shape (classes,); NaN for a class without samples."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    found = np.bincount(labels, weights=right, minlength=classes).astype(np.float64)
    return _ratio(found, counts)


def calibration_error(right: Right, confidence: NDArray[np.floating[Any]], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017, equation 3): mean |accuracy - confidence|.

    A bin holds confidences above its lower edge up to its upper edge, the first also 0; bins weigh as many samples as
    they hold.
    """
    places = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=right - confidence.astype(np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / right.size)


def mcnemar(one: Right, other: Right) -> float:
    """How likely two files that are equally good differ by so much on the same samples: McNemar's test, mid-p.

    Of the n samples that exactly one of them has right, m go to the one with fewer: conditional on n, m follows
    Bin(n, 1/2). The exact two-sided p-value is twice P[X <= m], at most 1; the mid-p is that less P[X = m], or less
    half of it where the two are even (Fagerland, Lydersen & Laake 2013). It keeps close to its level where the exact
    test is too conservative. 1 when they never differ.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    total, fewer = only_one + only_other, min(only_one, only_other)
    if total == 0:
        return 1.0
    mass = _binomial_half(total, fewer)
    return float(1 - mass[fewer] / 2 if only_one == only_other else 2 * mass.sum() - mass[fewer])


def _binomial_half(trials: int, most: int) -> NDArray[np.float64]:
    """P[Bin(trials, 1/2) = x] for x from 0 to `most`, by logarithms: 2 ** -trials alone is 0 from 1075 trials on."""
    x = np.arange(1, most + 1, dtype=np.float64)
    ways = np.concatenate([[0.0], np.cumsum(np.log((trials + 1 - x) / x))])
    mass: NDArray[np.float64] = np.exp(ways - trials * np.log(2.0))
    return mass


def loss(one: Right, other: Right) -> tuple[float, Interval]:
    """How much share of right answers `other` has less than `one` on the same samples, with its 95 % interval.

    The interval is Wald's for paired shares with half a sample added to each of the four cells (Agresti & Min 2005),
    widened to hold the estimate itself.
    """
    gained, lost = float((other & ~one).sum()), float((one & ~other).sum())
    estimate = (lost - gained) / one.size
    samples, gained, lost = one.size + 2.0, gained + 0.5, lost + 0.5
    middle = (lost - gained) / samples
    half = Z_95 * sqrt(max(0.0, gained + lost - (lost - gained) ** 2 / samples)) / samples
    return estimate, (max(-1.0, min(estimate, middle - half)), min(1.0, max(estimate, middle + half)))


def snr_db(reference: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]) -> float:
    """Signal-to-noise ratio of outputs against those of a reference, 10 log10(sum r^2 / sum (o - r)^2).

    Between -MOST_DB and MOST_DB, which is also that of equal outputs; outputs that are not finite are all noise.
    """
    signal = float(np.square(reference.astype(np.float64)).sum())
    noise = float(np.square(outputs.astype(np.float64) - reference.astype(np.float64)).sum())
    if not np.isfinite(noise):
        return -MOST_DB
    if noise == 0:
        return MOST_DB
    return float(np.clip(10 * np.log10(signal / noise), -MOST_DB, MOST_DB)) if signal > 0 else -MOST_DB


def overlaps(confusion: NDArray[np.integer[Any]]) -> Shares:
    """Intersection over union of each class, from pixels by true class and class taken for it (classes x classes).

    NaN for a class that is neither there nor named anywhere; the mean over the others is the mean IoU (Everingham et
    al. 2015).
    """
    counts = confusion.astype(np.float64)
    both = np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return _ratio(both, either)


def _ratio(of: NDArray[np.float64], to: NDArray[np.float64]) -> Shares:
    """NaN where `to` is 0."""
    found: Shares = np.divide(of, to, out=np.full(of.shape, np.nan), where=to > 0)
    return found
