from __future__ import annotations

from math import inf, log

import numpy as np
import pytest

from results.judge import statistics
from results.judge.change import planning
from results.judge.change.comparison import compare
from results.judge.change.planning import false_alarms, restarts_for, simulated


@pytest.mark.parametrize(
    ("spread", "found", "smallest"), [(0.01, 1.0, 0.037), (0.02, 0.83, 0.054), (0.03, 0.40, 0.082)]
)
def test_five_restarts_against_fifteen_find_what_the_documentation_says(
    spread: float, found: float, smallest: float
) -> None:
    """20,000 nights: a share of 40 % is known to within 1 % (three standard errors)."""
    nights = simulated(spread)
    assert nights.found(0.05) == pytest.approx(found, abs=0.015)
    assert nights.smallest() == pytest.approx(smallest, abs=0.002)
    assert nights.false_alarms <= 0.0025


def test_what_restarts_share_makes_false_alarms_that_the_noise_floor_takes_away() -> None:
    """1 % between restarts and 1 % between measurements: of these the test on restarts knows nothing."""
    floor = np.hypot(0.01, 0.536 * 0.01)  # the median of five normal values spreads by 0.536
    blind, told = simulated(0.01, between=0.01), simulated(0.01, between=0.01, least=3 * floor)
    assert blind.false_alarms == pytest.approx(0.010, abs=0.003)
    assert told.false_alarms < 0.006


def test_simulated_nights_are_those_of_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws through `compare`: found by it exactly where the simulation says so."""
    monkeypatch.setattr(planning, "_NIGHTS", 200)
    monkeypatch.setattr(planning, "_AT_ONCE", 200)
    rng = np.random.default_rng(3)
    tonight = np.exp(planning._measured(rng, 0.02, 0.01, 5, 1))
    before = np.exp(planning._measured(rng, 0.02, 0.01, 5, 3))
    nights = simulated(0.02, between=0.01, seed=3)
    for effect in (0.0, 0.04, 0.06):
        # In ms as many as make 0.05 ms nothing.
        verdicts = [compare(1e6 * (1 + effect) * x, 1e6 * y).verdict for x, y in zip(tonight, before, strict=True)]
        assert nights.found(effect) == np.mean([verdict == "slower" for verdict in verdicts])


def test_found_and_smallest_are_each_other_turned_round() -> None:
    nights = simulated(0.02)
    for share in (0.01, 0.5, 0.9, 1.0):
        assert nights.found(nights.smallest(share)) >= share
        assert nights.found(nights.smallest(share) - 1e-9) < share


def test_less_noise_and_more_restarts_find_more() -> None:
    by_spread = [simulated(spread).smallest() for spread in (0.0, 0.005, 0.01, 0.02, 0.04)]
    assert by_spread == sorted(by_spread)
    assert by_spread[0] == pytest.approx(0.03)
    assert simulated(0.03, restarts=10, baseline=30).smallest() < simulated(0.03).smallest()
    assert simulated(0.03, family=20).smallest() > simulated(0.03).smallest()


def test_what_cannot_be_found_is_never_found() -> None:
    nights = simulated(0.01, restarts=2)
    assert (nights.smallest(), nights.found(9.0), nights.false_alarms) == (inf, 0, 0)


def test_simulations_follow_their_seed() -> None:
    one, again, other = simulated(0.02, seed=1), simulated(0.02, seed=1), simulated(0.02, seed=2)
    assert np.array_equal(one.needed, again.needed)
    assert not np.array_equal(one.needed, other.needed)


@pytest.mark.parametrize(("spread", "restarts"), [(0.0, 5), (0.005, 5), (0.01, 7), (0.02, 25)])
def test_restarts_for_a_width_have_a_bootstrap_interval_of_that_width(spread: float, restarts: int) -> None:
    assert restarts_for(spread) == restarts
    rng = np.random.default_rng(6)
    cases = [rng.normal(1, spread, (restarts, 1)) for _ in range(60)]
    found = [statistics.interval(case, seed=seed, resamples=500) for seed, case in enumerate(cases)]
    half_width = float(np.mean([high - low for low, high in found])) / 2
    assert half_width < 0.0115
    assert half_width > 0.0075 or restarts == 5


def test_false_alarms_of_a_device_that_only_spreads_are_rare() -> None:
    rng = np.random.default_rng(7)
    alarms, comparisons = false_alarms([100 * rng.lognormal(0, 0.01, 5) for _ in range(12)])
    assert comparisons > 300
    assert alarms == 0


def test_false_alarms_of_a_device_that_jumps_are_found() -> None:
    """Twelve measurements, every fourth 20 % slower in all its restarts; the noise floor of the device knows of it."""
    rng = np.random.default_rng(7)
    jumping = [100 * (1.2 if night % 4 == 0 else 1) * rng.lognormal(0, 0.005, 5) for night in range(12)]
    alarms, comparisons = false_alarms(jumping)
    assert alarms / comparisons == pytest.approx(0.25 * 0.51, abs=0.08)  # slow, after three that are not
    floor = float(np.std([log(np.median(one)) for one in jumping]))
    assert false_alarms(jumping, floor=floor)[0] == 0


@pytest.mark.parametrize(("count", "comparisons"), [(0, 0), (1, 0), (3, 0), (4, 4), (5, 20)])
def test_every_choice_of_few_measurements_is_compared_once(count: int, comparisons: int) -> None:
    assert false_alarms([[100 + i, 101, 102, 103, 104] for i in range(count)]) == (0, comparisons)
