"""When enough is measured: how well a median is known, who is measured again, and what the row says of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge import statistics, stopping
from results.judge.summary import rows
from results.records import Stopping
from tests.results.factory import STANDARD, make_case, make_document, make_restart

MEDIANS = st.lists(st.floats(1.0, 1000.0), min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("degrees", "exact"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (5, 2.5706), (9, 2.2622), (29, 2.0452)]
)
def test_quantiles_of_t(degrees: int, exact: float) -> None:
    assert stopping.t_975(degrees) == pytest.approx(exact, rel=0.01)


@given(MEDIANS, st.floats(0.001, 1000.0))
def test_the_unit_does_not_matter(medians: list[float], factor: float) -> None:
    scaled = [factor * median for median in medians]
    assert stopping.half_width(scaled) == pytest.approx(stopping.half_width(medians), rel=1e-6, abs=1e-9)


@given(MEDIANS)
def test_the_same_twice_is_known_better(medians: list[float]) -> None:
    assert stopping.half_width(medians * 2) <= stopping.half_width(medians) + 1e-12


@pytest.mark.parametrize("medians", [[], [5.0], [0.0, 0.0]])
def test_of_too_few_nothing_is_known(medians: list[float]) -> None:
    assert stopping.half_width(medians) == float("inf")
    assert stopping.is_wanting(medians, 0.01)


def test_restarts_that_are_not_one_number_want_more_whatever_the_target() -> None:
    assert stopping.is_wanting([5.0, 6.5], None)
    assert not stopping.is_wanting([5.0, 5.2], None)
    assert stopping.is_wanting([5.0, 5.2], 0.01)
    assert not stopping.is_wanting([5.0, 5.001, 5.0, 5.001], 0.01)


def test_what_narrows_an_interval_most_is_next() -> None:
    medians = {"sure": [5.0, 5.0001, 5.0], "wide": [5.0, 5.4, 4.6], "wider": [5.0, 9.0, 7.0], "unmeasured": []}
    assert stopping.next_case(medians, 0.01) == "wider"
    assert stopping.next_case({"sure": medians["sure"]}, 0.01) is None
    assert stopping.next_case({"unmeasured": []}, 0.01) is None
    # The widest, but hardly narrowed by an eleventh.
    assert stopping.next_case({**medians, "wider": [5.0, 9.0, 7.0, 6.0, 8.0] * 2}, 0.01) == "wide"


@given(MEDIANS)
def test_another_restart_narrows_an_interval(medians: list[float]) -> None:
    """As it would of the same spread."""
    assert 0 <= stopping.gain(medians) <= stopping.half_width(medians)


@pytest.mark.parametrize("restarts", [3, 4])
def test_the_interval_of_few_restarts_covers_what_it_says(restarts: int) -> None:
    rng, hits, cases = np.random.default_rng(7), 0, 300
    for seed in range(cases):
        samples = [(1 + rng.normal(0, 0.01)) * (1 + rng.normal(0, 0.02, 100)) for _ in range(restarts)]
        low, high = stopping.interval(samples, seed, aggregated=False)
        hits += low <= 1 <= high
        alone = statistics.interval(samples, seed=seed)
        assert low <= alone[0] <= alone[1] <= high
    assert hits / cases > 0.9, "the bootstrap alone covers 79 and 87 %"


@pytest.mark.parametrize(("spread", "said"), [(0.0001, False), (0.2, True)])
def test_a_row_says_that_its_target_was_not_reached(spread: float, said: bool) -> None:
    case = make_case()
    restarts = [make_restart(case, number, median_ms=5 * (1 + spread * (number % 3)), n=2000) for number in range(7)]
    (row,) = rows(make_document([case], restarts, stopping=Stopping(target=0.02), profile=STANDARD))
    assert "restarts were added, as it was uncertain" in row.notes
    assert any("interval reaches further than the 2 % asked for" in note for note in row.notes) is said


def test_without_a_rule_nothing_is_said() -> None:
    case = make_case()
    (row,) = rows(make_document([case], [make_restart(case, number, median_ms=5 + number) for number in range(5)]))
    assert row.notes == ()
