"""The numbers of an evaluation against naive computations, SciPy and figures that were printed."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from results.judge import accuracy

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200)


def both(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    one, other = zip(*pairs, strict=True)
    return np.array(one), np.array(other)


def differing(only_one: int, only_other: int, same: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two files, `same` of them right in both."""
    return both([(True, False)] * only_one + [(False, True)] * only_other + [(True, True)] * same)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=50), st.integers(1, 5))
def test_a_sample_is_right_when_its_class_is_among_the_best(labels: list[int], count: int) -> None:
    rng = np.random.default_rng(len(labels))
    top = np.array([rng.permutation(7)[:5] for _ in labels])
    naive = [label in row[:count] for label, row in zip(labels, top.tolist(), strict=True)]
    assert accuracy.among_best(np.array(labels), top, count).tolist() == naive


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_where_the_score_test_begins_to_reject(counts: tuple[int, int]) -> None:
    right, samples = counts
    low, high = accuracy.wilson(right, samples)
    assert 0 <= low <= right / samples <= high <= 1
    for bound in (low, high):
        if 1e-6 < bound < 1 - 1e-6 and not math.isclose(bound, right / samples, abs_tol=1e-9):
            score = abs(right / samples - bound) / math.sqrt(bound * (1 - bound) / samples)
            assert score == pytest.approx(accuracy.Z_95, rel=1e-6)


def test_wilson_is_as_printed() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    printed = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for counts, interval in printed.items():
        assert accuracy.wilson(*counts) == pytest.approx(interval, abs=5e-5)
    assert accuracy.wilson(0, 0) == (0, 1)


def test_four_times_the_samples_buy_half_the_width() -> None:
    assert accuracy.margin(10_000) == pytest.approx(0.00588, abs=2e-5)
    assert accuracy.margin(400) / accuracy.margin(1600) == pytest.approx(2, rel=0.01)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=100))
def test_recall_is_counted_in_each_class_alone(samples: list[tuple[int, bool]]) -> None:
    labels, right = (np.array(values) for values in zip(*samples, strict=True))
    found = accuracy.recalls(labels, right, 6)
    for number in range(6):
        own = [is_right for label, is_right in samples if label == number]
        assert found[number] == pytest.approx(sum(own) / len(own)) if own else math.isnan(found[number])


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=100))
def test_calibration_error_is_the_weighted_gap_of_each_bin(samples: list[tuple[bool, float]]) -> None:
    expected = 0.0
    for number in range(15):
        low, high = Fraction(number, 15), Fraction(number + 1, 15)
        own = [s for s in samples if low < Fraction(s[1]) <= high or (number == 0 and s[1] == 0)]
        if own:
            gap = sum(right for right, _ in own) / len(own) - sum(confidence for _, confidence in own) / len(own)
            expected += len(own) / len(samples) * abs(gap)
    right, confidence = (np.array(values) for values in zip(*samples, strict=True))
    assert accuracy.calibration_error(right, confidence) == pytest.approx(expected, abs=1e-9)


def test_calibration_error_tells_who_is_too_sure() -> None:
    right = np.arange(100) < 80
    assert accuracy.calibration_error(right, np.full(100, 0.8)) == pytest.approx(0)
    assert accuracy.calibration_error(right, np.full(100, 0.99)) == pytest.approx(0.19)


@given(PAIRS)
def test_mcnemar_is_the_mid_p_of_the_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    one, other = both(pairs)
    b, c = sum(x and not y for x, y in pairs), sum(y and not x for x, y in pairs)
    mass = scipy.stats.binom.pmf(min(b, c), b + c, 0.5)
    expected = 1.0 if b + c == 0 else scipy.stats.binomtest(b, b + c).pvalue - mass / (2 if b == c else 1)
    assert accuracy.mcnemar(one, other) == pytest.approx(expected)
    assert accuracy.mcnemar(other, one) == accuracy.mcnemar(one, other)


def test_mcnemar_is_as_printed() -> None:
    """Fagerland et al. 2013, the study of airway hyper-responsiveness by Bentur et al.: 1 and 7 differ, mid-p 0.039."""
    assert accuracy.mcnemar(*differing(1, 7)) == pytest.approx(0.039, abs=5e-4)


def test_mcnemar_stands_thousands_of_differences() -> None:
    expected = 2 * scipy.stats.binom.cdf(24_500, 50_000, 0.5) - scipy.stats.binom.pmf(24_500, 50_000, 0.5)
    assert accuracy.mcnemar(*differing(24_500, 25_500)) == pytest.approx(expected, rel=1e-6)
    assert accuracy.mcnemar(*differing(0, 3000)) == pytest.approx(0, abs=1e-300)


@given(PAIRS)
def test_loss_is_the_difference_of_the_shares_and_lies_in_its_interval(pairs: list[tuple[bool, bool]]) -> None:
    one, other = both(pairs)
    estimate, (low, high) = accuracy.loss(one, other)
    assert estimate == pytest.approx(one.mean() - other.mean())
    assert -1 <= low <= estimate <= high <= 1
    backwards, (least, most) = accuracy.loss(other, one)
    assert (backwards, least, most) == pytest.approx((-estimate, -high, -low))


def test_the_interval_of_a_loss_covers_it() -> None:
    """Two files that are right in 90 and 89 % of all cases, and differ in 5 %: 2000 samples, 1000 times."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        kind = rng.choice(4, size=2000, p=[0.87, 0.03, 0.02, 0.08])  # both, only the first, only the second, none
        low, high = accuracy.loss(kind <= 1, (kind == 0) | (kind == 2))[1]
        covered += low <= 0.01 <= high
    assert 930 <= covered <= 970


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_snr_counts_decibels(values: list[float], factor: float) -> None:
    reference = np.array(values)
    assert accuracy.snr_db(reference, reference) == 200
    if np.square(reference).sum() > 1e-6:
        noisy = reference * (1 + factor)
        assert accuracy.snr_db(reference, noisy) == pytest.approx(-20 * math.log10(factor), abs=1e-6)
    else:
        assert accuracy.snr_db(np.zeros(3), np.ones(3)) == -200


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80))
def test_overlap_is_intersection_over_union(pixels: list[tuple[int, int]]) -> None:
    confusion = np.zeros((4, 4), np.uint32)
    for true, named in pixels:
        confusion[true, named] += 1
    for number, found in enumerate(accuracy.overlaps(confusion)):
        true = {place for place, pixel in enumerate(pixels) if pixel[0] == number}
        named = {place for place, pixel in enumerate(pixels) if pixel[1] == number}
        assert found == pytest.approx(len(true & named) / len(true | named)) if true | named else math.isnan(found)
