from __future__ import annotations

from itertools import combinations
from math import comb, inf

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from results.judge.change.mannwhitney import critical, differences, least_p, p_greater, shift

TIED = st.lists(st.integers(0, 4), min_size=1, max_size=5)
"""Few values in few places: most of them share one."""

DISTINCT = st.lists(st.integers(0, 1000), min_size=2, max_size=40, unique=True)
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


def u_of(x: list[float], y: list[float]) -> float:
    return sum((a > b) + (a == b) / 2 for a in x for b in y)


def enumerated(x: list[int], y: list[int]) -> float:
    """P(U >= u) by every choice of who is in x."""
    pool = x + y
    places = range(len(pool))
    found = [
        u_of([pool[i] for i in chosen], [pool[i] for i in places if i not in chosen])
        for chosen in combinations(places, len(x))
    ]
    return sum(u >= u_of(x, y) for u in found) / len(found)


@given(TIED, TIED)
def test_p_is_the_share_of_all_choices_that_lie_as_high(x: list[int], y: list[int]) -> None:
    assert p_greater(x, y) == pytest.approx(enumerated(x, y))


@given(DISTINCT, st.data())
def test_p_without_ties_is_that_of_scipy(values: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(values) - 1))
    x, y = values[:n], values[n:]
    expected = scipy.stats.mannwhitneyu(x, y, alternative="greater", method="exact").pvalue
    assert p_greater(x, y) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m"), [(60, 61), (200, 300), (3000, 4)])
@pytest.mark.parametrize("decimals", [9, 1, 0])
def test_p_of_many_is_the_normal_approximation_of_scipy(n: int, m: int, decimals: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(0.3, 1, n).round(decimals), rng.normal(0, 1, m).round(decimals)
    expected = scipy.stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic").pvalue
    assert p_greater(x, y) == pytest.approx(expected)


def test_the_approximation_goes_on_where_counting_ends() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(0.5, 1, 38), rng.normal(0, 1, 40)
    counted = p_greater(x, y)
    expected = scipy.stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic").pvalue
    assert counted == pytest.approx(expected, rel=0.05)
    assert critical(38, 40, 0.002) == pytest.approx(critical(39, 40, 0.002), rel=0.04)


def test_many_equal_values_say_nothing() -> None:
    assert p_greater([1] * 5, [1] * 15) == 1
    assert p_greater([1] * 500, [1] * 500) == 1


@given(VALUES, VALUES)
def test_the_order_of_values_is_irrelevant(x: list[float], y: list[float]) -> None:
    assert p_greater(x[::-1], sorted(y)) == p_greater(x, y)


@given(TIED, TIED, st.sampled_from([0.5, 1, 1.5, 9]))
def test_higher_is_rarer(x: list[int], y: list[int], by: float) -> None:
    assert 0 < p_greater([value + by for value in x], y) <= p_greater(x, y) + 1e-12 <= 1 + 1e-12


@given(TIED, TIED)
def test_both_directions_share_but_the_point_itself(x: list[int], y: list[int]) -> None:
    """P(U >= u) + P(U <= u) = 1 + P(U = u)."""
    assert p_greater(x, y) + p_greater(y, x) >= 1 - 1e-12
    assert p_greater(x, y) == pytest.approx(p_greater([-value for value in y], [-value for value in x]))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 12), (5, 15), (15, 5), (3, 3)])
def test_the_least_p_is_reached_by_all_above_all(n: int, m: int) -> None:
    assert p_greater(range(m, m + n), range(m)) == pytest.approx(least_p(n, m)) == pytest.approx(1 / comb(n + m, n))


@given(st.integers(1, 7), st.integers(1, 7), st.floats(1e-4, 0.6))
def test_critical_is_the_first_u_that_is_rare_enough(n: int, m: int, p: float) -> None:
    counts = np.zeros(n * m + 2)
    for chosen in combinations(range(n + m), n):
        counts[sum(chosen) - n * (n - 1) // 2] += 1
    tail = counts[::-1].cumsum()[::-1] / comb(n + m, n)
    assert critical(n, m, p) == next(u for u in range(n * m + 2) if tail[u] < p)


def test_critical_of_few_cannot_be_reached() -> None:
    assert critical(2, 3, 0.002) == 7
    assert critical(5, 15, 0.002) <= 75


def test_differences_of_every_pair_of_every_row() -> None:
    assert differences([3, 1], [0, 5]).tolist() == [-4, -2, 1, 3]
    assert differences(np.zeros((7, 2)), np.ones((7, 3))).shape == (7, 6)


@given(VALUES, VALUES)
def test_the_shift_is_the_median_difference_in_its_interval(x: list[float], y: list[float]) -> None:
    low, value, high = shift(x, y)
    assert value == np.median([a - b for a in x for b in y])
    assert low <= value <= high
    back = shift(y, x)
    assert (-back[2], -back[1], -back[0]) == pytest.approx((low, value, high))


@given(DISTINCT, st.data())
def test_the_interval_holds_what_the_test_does_not_refute(values: list[int], data: st.DataObject) -> None:
    """Just inside of either end neither direction is refuted at 2.5 %, just outside one is."""
    n = data.draw(st.integers(1, len(values) - 1))
    x, y = np.array(values[:n], float), np.array(values[n:], float)
    low, _, high = shift(x, y)
    if low == -inf:
        assert high == inf
        assert least_p(n, len(values) - n) >= 0.025
        return
    assert p_greater(x - low - 1e-6, y) >= 0.025 > p_greater(x - low + 1e-6, y)
    assert p_greater(y, x - high + 1e-6) >= 0.025 > p_greater(y, x - high - 1e-6)


def test_the_interval_covers_the_truth_of_skewed_values() -> None:
    """1000 cases; three standard errors around 95 %."""
    rng = np.random.default_rng(4)
    cases = ((rng.exponential(1, 5) + 2, rng.exponential(1, 15)) for _ in range(1000))
    covered = [low <= 2 <= high for low, _, high in (shift(x, y) for x, y in cases)]
    assert 0.93 < np.mean(covered) < 0.98


@pytest.mark.parametrize(("x", "y"), [([], [1]), ([1], []), ([np.nan], [1]), ([1], [np.inf]), ([[1, 2]], [1])])
def test_what_cannot_be_ranked_is_refused(x: list[float], y: list[float]) -> None:
    for function in (p_greater, shift):
        with pytest.raises(ValueError, match="two groups"):
            function(x, y)
