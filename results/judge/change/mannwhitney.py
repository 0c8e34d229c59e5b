"""The one-sided Mann-Whitney test and the shift of Hodges and Lehmann that belongs to it. NumPy only, pure.

U counts the pairs in which x is larger than y, a tie for a half. If x and y are draws of one distribution, every choice
of places for x among the n + m ranks is as likely as any other, and that alone gives the distribution of U. Formulas:
Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition, sections 4.1 to 4.3.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, comb, inf, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LARGEST_EXACT = 3000
"""The largest min(n, m) * (n + m) at which all choices are counted: some 20 million additions."""

Values = NDArray[np.float64]
_Ranks = NDArray[np.int64]


def p_greater(x: ArrayLike, y: ArrayLike) -> float:
    """How often chance alone makes x, [n], lie as far above y, [m], as it does or further: P(U >= u).

    Exact, with ties as well as without, as far as that is quick; beyond, the normal approximation, corrected for ties
    and continuity. ValueError where one of them is empty or not finite.
    """
    first, second = _group(x), _group(y)
    n, m = first.size, second.size
    ranks = _doubled_midranks(np.concatenate((first, second)))
    if not _is_counted(n, m):
        return _approximated(ranks, n)
    ways = _choices(tuple(np.sort(ranks).tolist()), min(n, m))
    # x lies as high as that wherever y, if it is the smaller group, lies as low.
    found = ways[ranks[:n].sum() :] if n <= m else ways[: ranks[n:].sum() + 1]
    return min(1.0, float(found.sum() / ways.sum()))


def least_p(n: int, m: int) -> float:
    """The smallest p that n values against m can reach: that of all n above all m."""
    return 1 / comb(n + m, n)


def critical(n: int, m: int, p: float) -> int:
    """The least U of n values against m, without ties, with P(U >= u) < p; n * m + 1 where none is that rare."""
    if not _is_counted(n, m):
        return ceil(n * m / 2 + NormalDist().inv_cdf(1 - p) * sqrt(n * m * (n + m + 1) / 12) + 0.5)
    small = min(n, m)
    ways = _choices(tuple(range(1, n + m + 1)), small)
    tail = np.append(ways[::-1].cumsum()[::-1] / ways.sum(), 0)
    return int(np.argmax(tail < p)) - small * (small + 1) // 2


def differences(x: ArrayLike, y: ArrayLike) -> Values:
    """x - y of every pair in rising order: [..., n] and [..., m] give [..., n * m]."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    pairs = first[..., :, None] - second[..., None, :]
    return np.sort(pairs.reshape(*pairs.shape[:-2], -1), axis=-1)


def shift(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """By how much x lies above y, (low, value, high): the median of the differences of all pairs, in its interval.

    The interval holds every shift that the two-sided test at 1 - level does not refute, so it covers the truth at least
    as often as it says, whatever the distribution. It is infinite where so few values cannot refute any.
    """
    first, second = _group(x), _group(y)
    ordered = differences(first, second)
    value = float(np.median(ordered))
    least = critical(first.size, second.size, (1 - level) / 2)
    if least > ordered.size:
        return -inf, value, inf
    return float(ordered[ordered.size - least]), value, float(ordered[least - 1])


def _group(of: ArrayLike) -> Values:
    array = np.asarray(of, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError("two groups of finite numbers are compared, of one number at least each")
    return array


def _is_counted(n: int, m: int) -> bool:
    return min(n, m) * (n + m) <= _LARGEST_EXACT


def _doubled_midranks(values: Values) -> _Ranks:
    """Twice the rank of each, which is an integer whatever the ties: equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    doubled: _Ranks = (2 * np.cumsum(counts) - counts + 1)[places]
    return doubled


@lru_cache(maxsize=64)
def _choices(ranks: tuple[int, ...], chosen: int) -> Values:
    """How many ways there are to choose so many of the ranks (rising), by their sum: [largest sum + 1].

    One rank at a time, for each number of chosen ones: the shift algorithm (Streitberg and Roehmel 1986).
    """
    ways = np.zeros((chosen + 1, sum(ranks[-chosen:]) + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank]
    found: Values = ways[chosen]
    return found


def _approximated(ranks: _Ranks, n: int) -> float:
    """P(U >= u) of the first n doubled midranks, by the normal distribution."""
    total = ranks.size
    u = ranks[:n].sum() / 2 - n * (n + 1) / 2
    _, counts = np.unique(ranks, return_counts=True)
    ties = float((counts**3 - counts).sum()) / (total * (total - 1))
    sigma = sqrt(n * (total - n) * (total + 1 - ties) / 12)
    return NormalDist().cdf(-(u - 0.5 - n * (total - n) / 2) / sigma) if sigma else 1.0
