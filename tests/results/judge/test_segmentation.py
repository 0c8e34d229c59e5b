"""Mean IoU against naive computations over sets of pixels, and the interval against images drawn one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from results.judge import segmentation
from results.judge.segmentation import IGNORED

CLASSES = 4
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)
TRUE = st.one_of(st.integers(0, CLASSES - 1), st.just(IGNORED))


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    truth = draw(arrays.arrays(np.uint8, shape, elements=TRUE))
    return truth, draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)))


def naive(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The mean IoU from sets of pixels, each named by its image and place."""
    found = []
    for label in range(CLASSES):
        truth = {(n, *place) for n, (true, _) in enumerate(pairs) for place in np.argwhere(true == label).tolist()}
        named = {
            (n, *place)
            for n, (true, name) in enumerate(pairs)
            for place in np.argwhere((name == label) & (true != IGNORED)).tolist()
        }
        if truth | named:
            found.append(len(truth & named) / len(truth | named))
    return sum(found) / len(found) if found else math.nan


@given(maps())
def test_a_confusion_counts_every_pixel_that_counts(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, named = pair
    expected = np.zeros((CLASSES, CLASSES), int)
    for true, name in zip(truth.ravel().tolist(), named.ravel().tolist(), strict=True):
        if true != IGNORED:
            expected[true, name] += 1
    assert np.array_equal(segmentation.confusion(truth, named, CLASSES), expected)


@given(st.lists(maps(), min_size=1, max_size=4))
def test_the_mean_iou_is_that_of_sets_of_pixels(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    total = sum(segmentation.confusion(truth, named, CLASSES) for truth, named in pairs)
    assert segmentation.mean_iou(np.asarray(total)) == pytest.approx(naive(pairs), nan_ok=True)


def test_classes_that_are_nowhere_do_not_lower_the_mean() -> None:
    total = np.zeros((21, 21), int)
    total[0, 0], total[0, 3], total[3, 3] = 6, 2, 2
    assert segmentation.mean_iou(total) == pytest.approx((6 / 8 + 2 / 4) / 2)
    total[5, 0] = 1  # there, and never found
    assert segmentation.mean_iou(total) == pytest.approx((6 / 9 + 2 / 4 + 0) / 3)


def test_pixels_that_do_not_count_may_be_named_anything_but_no_class_that_there_is_not() -> None:
    truth = np.array([[0, IGNORED]])
    assert segmentation.confusion(truth, np.array([[0, 99]]), 2).tolist() == [[1, 0], [0, 0]]
    with pytest.raises(ValueError, match="a named class from 2 to 2, and there are 2"):
        segmentation.confusion(truth, np.array([[2, 0]]), 2)
    with pytest.raises(ValueError, match="a true class from 7 to 7"):
        segmentation.confusion(np.array([[7]]), np.array([[0]]), 2)
    with pytest.raises(ValueError, match="maps of"):
        segmentation.confusion(truth, truth.T, 2)


@given(st.lists(maps(), min_size=2, max_size=5))
def test_the_interval_holds_the_estimate_and_is_the_same_again(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    counts = np.array([segmentation.confusion(truth, named, CLASSES) for truth, named in pairs])
    low, high = segmentation.interval(counts, replicates=50)
    estimate = segmentation.mean_iou(counts.sum(axis=0))
    assert 0 <= low <= high <= 1
    assert math.isnan(estimate) or low <= estimate <= high
    assert segmentation.interval(counts, replicates=50) == (low, high)


def test_the_interval_is_that_of_images_drawn_one_by_one() -> None:
    random = np.random.default_rng(5)
    counts = random.integers(0, 9, (40, CLASSES, CLASSES))
    counts[:, range(CLASSES), range(CLASSES)] += random.integers(0, 60, (40, CLASSES))
    drawn = [segmentation.mean_iou(counts[random.integers(0, 40, 40)].sum(axis=0)) for _ in range(4000)]
    assert segmentation.interval(counts, replicates=8000) == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=5e-3)


def test_images_that_are_all_alike_leave_no_doubt_and_a_single_one_leaves_all() -> None:
    one = np.array([[8, 2], [0, 10]])
    low, high = segmentation.interval(np.array([one] * 5))
    assert low == pytest.approx(high)
    assert segmentation.interval(one[None]) == (0, 1)
    assert segmentation.interval(np.zeros((5, 2, 2), int)) == (0, 1)


def test_replicates_without_a_pixel_that_counts_are_left_out() -> None:
    counts = np.array([np.zeros((2, 2), int)] * 3 + [np.array([[1, 1], [0, 2]])])
    low, high = segmentation.interval(counts)
    assert low == high == pytest.approx((1 / 2 + 2 / 3) / 2)
