"""How far two arrays are apart: properties that hold for any."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.diff.compare import compare
from results.records.restart import MOST_DB

FLOATS = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    arrays.array_shapes(max_dims=3, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32),
)
ANY = st.one_of(
    arrays.arrays(np.float32, arrays.array_shapes(min_side=0, max_dims=3), elements=st.floats(width=32)),
    arrays.arrays(st.sampled_from([np.int8, np.int64, np.uint8]), arrays.array_shapes(min_side=0)),
    arrays.arrays(np.bool_, arrays.array_shapes()),
)


@given(ANY)
def test_an_array_is_the_same_as_itself(a: np.ndarray) -> None:
    found = compare(a, a.copy(), 60.0)
    assert not found.parts
    assert (found.elements, found.max_abs, found.snr_db) == (0, 0.0, MOST_DB)


@given(ANY, ANY, st.floats(0, 200))
def test_any_two_are_compared_and_never_raise(a: np.ndarray, b: np.ndarray, threshold_db: float) -> None:
    found = compare(a, b, threshold_db)
    assert found.snr_db is None or -MOST_DB <= found.snr_db <= MOST_DB
    assert not (found.parts and a.shape == b.shape and found.elements == 0)
    assert found.parts or a.shape == b.shape


@given(FLOATS, st.integers(-20, 20))
def test_only_the_ratio_counts(a: np.ndarray, exponent: int) -> None:
    """With a factor before both, what is far enough from the floor is as far apart as before."""
    a = a.astype(np.float64) + 1e3
    b = a * 1.01
    one, two = compare(a, b, 60.0), compare(a * 2.0**exponent, b * 2.0**exponent, 60.0)
    assert (one.parts, two.parts) == (True, True)
    assert one.snr_db == pytest.approx(two.snr_db, abs=1e-6)


@given(st.floats(1e-4, 0.5), st.integers(2, 500))
def test_the_ratio_is_that_of_the_noise(share: float, count: int) -> None:
    a = np.ones(count)
    found = compare(a, a + share, 20.0)
    assert found.snr_db == pytest.approx(-20 * math.log10(share), abs=1e-6)
    if abs(share - 0.1) > 1e-6:  # there the last bit decides
        assert found.parts == (share > 0.1)
    assert found.relative == pytest.approx(share)


def test_one_element_far_off_parts_though_the_ratio_is_high() -> None:
    a = np.ones(100_000, np.float32)
    b = a.copy()
    b[7] = 1.1
    assert compare(a, b, 60.0).snr_db > 60
    assert compare(a, b, 60.0).parts


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.bool_])
def test_ids_and_sizes_are_equal_or_part(dtype: type) -> None:
    a = np.arange(1_000_000, 1_000_100).astype(dtype)
    b = a.copy()
    b[3] = 0
    assert compare(a, b, 20.0).parts


def test_quantized_numbers_may_be_a_step_apart() -> None:
    a = np.arange(-100, 100).astype(np.int8)
    assert not compare(a, a + 1, 60.0).parts
    assert compare(a, a + 2, 60.0).parts
    assert not compare(a, a + 2, 20.0).parts


def test_nan_and_infinity_stand_in_the_same_places() -> None:
    a = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
    assert not compare(a, a.copy(), 60.0).parts
    assert compare(a, a.copy(), 60.0).nonfinite == (3, 3)
    for other in ([1.0, np.nan, np.inf, np.inf], [1.0, 2.0, np.inf, -np.inf], [np.nan, np.nan, np.inf, -np.inf]):
        assert compare(a, np.array(other, np.float32), 0.0).parts


def test_noise_where_there_is_nothing_is_no_difference() -> None:
    a = np.full(10, 1e-9, np.float32)
    assert not compare(a, -a, 60.0).parts
    assert compare(a, a + 1e-3, 60.0).parts


def test_shapes_differ() -> None:
    found = compare(np.ones((2, 3)), np.ones((3, 2)), 0.0)
    assert (found.parts, found.snr_db, found.shapes) == (True, None, ((2, 3), (3, 2)))
