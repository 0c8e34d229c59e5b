"""How far two arrays of the same tensor are apart. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.records.restart import MOST_DB

# Of a type's unit at 1: a tensor that is all but zero is noise in any runtime, and what hangs on it is seen later.
_FLOOR_UNITS = 4


@dataclass(frozen=True)
class Difference:
    """How far B's array is from A's.

    `max_abs` is the largest difference between finite numbers, `relative` that over the largest magnitude in A, None
    where A is 0 throughout; `snr_db` 10 log10 of the ratio of the sums of squares, at most `MOST_DB`; all three are
    None for arrays of different shapes. `elements` differ at all, `nonfinite` are NaN or infinite, in A and in B.
    """

    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    max_abs: float | None
    relative: float | None
    snr_db: float | None
    elements: int
    nonfinite: tuple[int, int]
    parts: bool


def compare(a: NDArray[Any], b: NDArray[Any], threshold_db: float) -> Difference:
    """Compare two arrays; they part where the ratio of signal to noise is below `threshold_db`.

    So they do where one element is off by more than that fraction of the largest, where NaN or infinities stand in
    other places, and where shapes or integers differ; integers of 8 and 16 bits are numbers in steps of a scale, which
    runtimes round differently: one step is none. Floats within a few units of their type at 1 do not part.
    """
    shapes = (tuple(a.shape), tuple(b.shape))
    counts = tuple(int(np.sum(~np.isfinite(one))) if one.dtype.kind == "f" else 0 for one in (a, b))
    nonfinite = (counts[0], counts[1])
    if a.shape != b.shape:
        return Difference(shapes, None, None, None, max(a.size, b.size), nonfinite, parts=True)
    places = np.isfinite(a) & np.isfinite(b)
    same_elsewhere = bool(np.array_equal(a[~places], b[~places], equal_nan=a.dtype.kind == b.dtype.kind == "f"))
    one, two = a[places].astype(np.float64), b[places].astype(np.float64)
    apart = np.abs(one - two)
    elements = int(np.sum(apart > 0)) + (0 if same_elsewhere else int(np.sum(~places)))
    worst = float(apart.max(initial=0.0))
    largest = float(np.abs(one).max(initial=0.0))
    relative = worst / largest if largest else None
    found = Difference(shapes, worst, relative, _snr_db(one, apart), elements, nonfinite, parts=not same_elsewhere)
    if not same_elsewhere or worst <= _floor(a, b):
        return found
    return replace(found, parts=_is_apart(a, found, threshold_db))


def _is_apart(a: NDArray[Any], found: Difference, threshold_db: float) -> bool:
    if a.dtype.kind == "b" or (a.dtype.kind in "iu" and a.dtype.itemsize > 2):
        return True  # ids, sizes, places: never nearly right
    assert found.snr_db is not None  # noqa: S101 - the shapes are equal
    return found.snr_db < threshold_db or found.relative is None or found.relative > 10 ** (-threshold_db / 20)


def _floor(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The difference that says nothing."""
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return _FLOOR_UNITS * float(max(np.finfo(a.dtype).eps, np.finfo(b.dtype).eps))
    return 1.0 if a.dtype.kind in "iu" and a.dtype.itemsize <= 2 else 0.0


def _snr_db(signal: NDArray[np.float64], noise: NDArray[np.float64]) -> float:
    scale = max(float(np.abs(signal).max(initial=0.0)), float(noise.max(initial=0.0)))
    if not scale or not noise.any():
        return MOST_DB
    power, off = float(np.sum((signal / scale) ** 2)), float(np.sum((noise / scale) ** 2))
    if not power or not off:
        return -MOST_DB if off else MOST_DB
    return max(-MOST_DB, min(MOST_DB, 10 * math.log10(power / off)))
