"""What measurements of one and the same say of a device: its noise, its false alarms, what it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.change.fitness import FEWEST, Fitness, fitness, shared, spread_within
from results.judge.measurement import Measurement
from results.records import Restart
from tests.results.factory import STANDARD, make_case, make_lost, make_restart

CASE = make_case()


def measured(medians_ms: Any) -> tuple[list[Measurement], list[Restart]]:
    """Measurements of restarts with these medians, [measurements, restarts], which have no noise of their own."""

    def restart(number: int, median_ms: float) -> Restart:
        return make_restart(CASE, number, samples_ns=(round(median_ms * 1e6),) * 60)

    made = [[restart(number, median) for number, median in enumerate(one)] for one in np.asarray(medians_ms)]
    return [Measurement(CASE, STANDARD, tuple(one), finished=True) for one in made], [r for one in made for r in one]


def noisy(spread: float, between: float = 0.0, *, count: int = 6, ms: float = 20.0, seed: int = 0) -> Fitness:
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, spread, (count, 5)) + rng.normal(0, between, (count, 1))
    return fitness(*measured(ms * np.exp(logs)))


def test_a_quiet_device_is_fit() -> None:
    found = noisy(0.005)
    assert found.is_fit
    assert not found.problem
    assert (found.valid, found.restarts, found.alarms) == (6, 30, 0)
    assert found.comparisons == 60  # each against any three of the five others
    assert found.smallest is not None
    assert 0.03 <= found.smallest < 0.04
    assert found.restarts_needed == 5
    assert found.median_ms == pytest.approx(20, rel=0.01)
    # That changes below 0.05 ms do not count is a model's.
    assert noisy(0.005, ms=0.2).smallest == pytest.approx(found.smallest, rel=1e-3)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (noisy(0.06), "% of nights only: restarts differ by"),
        (noisy(0.002, 0.04), "whole measurements by"),
        (noisy(0.005, count=FEWEST - 1), "3 of 3 measurements are valid, and 4 are needed"),
    ],
)
def test_why_a_device_is_not_fit(found: Fitness, words: str) -> None:
    assert not found.is_fit
    assert words in found.problem


def test_what_is_not_valid_is_no_measure_of_a_device() -> None:
    measurements, made = measured([[20] * 5] * 4 + [[20, 30, 40, 30, 20]])
    lost = make_lost(CASE, 4)
    found = fitness(measurements, [*made, lost])
    assert (found.valid, found.measurements, found.failed, found.restarts) == (4, 5, 1, 26)
    assert found.is_fit
    assert found.floor == 0
    assert "unstable: restart medians spread" in found.reasons[0]
    assert "4 of 5" not in found.problem
    nothing = fitness(measurements[4:], made[20:])
    assert "0 of 1 measurements are valid" in nothing.problem
    assert "unstable" in nothing.problem
    assert nothing.spread is None
    assert nothing.median_ms == pytest.approx(30)


def test_the_noise_is_told_apart() -> None:
    rng = np.random.default_rng(1)
    medians = 20 * np.exp(rng.normal(0, 0.02, (400, 5)) + rng.normal(0, 0.03, (400, 1)))
    spread = spread_within(list(medians))
    assert spread == pytest.approx(0.02, rel=0.1)
    floor = np.std(np.log(np.median(medians, axis=1)))
    assert shared(float(floor), 0.02, 5) == pytest.approx(0.03, rel=0.15)
    assert shared(0.005, 0.02, 5) == 0
    assert spread_within([np.array([20.0])]) is None


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 50))
def test_the_unit_does_not_matter(seed: int, factor: float) -> None:
    medians = list(np.exp(np.random.default_rng(seed).normal(0, 0.02, (4, 5))))
    assert spread_within([one * factor for one in medians]) == pytest.approx(spread_within(medians))
