"""Mean intersection over union of dense predictions. NumPy only; every function is pure.

A confusion is how many pixels of each true class (row) were taken for which class (column), of shape (classes,
classes); confusions are those of several images, (images, classes, classes). Shares are between 0 and 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.judge.accuracy import Interval, overlaps

IGNORED = 255
"""The class of pixels that do not count."""
REPLICATES = 2000
# Numbers that are held of several replicates at once.
_AT_ONCE = 1 << 22

Counts = NDArray[np.integer[Any]]


def confusion(truth: Counts, named: Counts, classes: int) -> NDArray[np.int64]:
    """Pixels of one image by true class and class taken for it; `truth` and `named` are maps of one shape.

    A pixel of class `IGNORED` does not count. Raises ValueError for maps of different shapes and for other classes.
    """
    if truth.shape != named.shape:
        raise ValueError(f"maps of {truth.shape} and {named.shape}")
    counted = truth != IGNORED
    rows, columns = truth[counted].astype(np.int64), named[counted].astype(np.int64)
    for what, found in (("true", rows), ("named", columns)):
        if found.size and not 0 <= found.min() <= found.max() < classes:
            raise ValueError(f"a {what} class from {found.min()} to {found.max()}, and there are {classes}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def mean_iou(total: Counts) -> float:
    """The mean of the IoU over the classes that are there or named anywhere; NaN where no pixel counts.

    `total` is the sum of all confusions: pixels of the whole data set, not images, weigh alike (Everingham et al. 2015,
    section 4.4).
    """
    found = overlaps(total)
    present = ~np.isnan(found)
    return float(found[present].mean()) if present.any() else float("nan")


def interval(confusions: Counts, replicates: int = REPLICATES, seed: int = 0) -> Interval:
    """95 % interval of the mean IoU: percentiles of it over images drawn again with replacement (Efron 1979).

    Images, not pixels, are drawn: the pixels of one image go wrong together. It is widened to hold the estimate itself,
    which is a ratio and lies above most replicates where a class has few images. (0, 1) for less than two images.
    """
    images, classes, _ = confusions.shape
    estimate = mean_iou(confusions.sum(axis=0, dtype=np.int64))
    if images < 2 or np.isnan(estimate):
        return 0.0, 1.0
    both = np.diagonal(confusions, axis1=1, axis2=2).astype(np.float64)
    either = confusions.sum(axis=1, dtype=np.int64) + confusions.sum(axis=2, dtype=np.int64) - both
    random = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // (images + 2 * classes))
    found = []
    for first in range(0, replicates, step):
        drawn = random.multinomial(images, np.full(images, 1 / images), size=min(step, replicates - first))
        overlap, union = drawn @ both, drawn @ either
        present = np.count_nonzero(union, axis=1)
        shares = np.divide(overlap, union, out=np.zeros_like(union), where=union > 0).sum(axis=1)
        found.append(shares[present > 0] / present[present > 0])
    low, high = np.percentile(np.concatenate(found), (2.5, 97.5))
    return min(float(low), estimate), max(float(high), estimate)
