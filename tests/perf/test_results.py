"""What judging costs: the interval of a case, a comparison, the frontier of a night; and what comparisons find."""

from __future__ import annotations

import random
from itertools import product
from math import hypot
from typing import Any

import numpy as np
import pytest

from results.judge import statistics
from results.judge.change.comparison import compare, least_effect
from results.judge.change.planning import false_alarms, restarts_for, simulated
from results.judge.pareto import standings
from tests.results.factory import make_row

pytestmark = pytest.mark.perf


@pytest.mark.parametrize("resamples", [statistics.RESAMPLES, 10_000])
def test_interval_of_five_restarts_of_a_thousand(benchmark: Any, resamples: int) -> None:
    rng = np.random.default_rng(6)
    samples = [rng.lognormal(0, 0.05, 1000) for _ in range(5)]
    benchmark(statistics.interval, samples, resamples=resamples)


def test_comparison_with_three_nights(benchmark: Any) -> None:
    rng = np.random.default_rng(6)
    benchmark(compare, rng.lognormal(0, 0.01, 5), rng.lognormal(0, 0.01, 15))


def test_false_alarms_of_twelve_measurements(benchmark: Any) -> None:
    rng = np.random.default_rng(6)
    measurements = [rng.lognormal(0, 0.01, 5) for _ in range(12)]
    benchmark.pedantic(false_alarms, (measurements,), rounds=5)


def test_what_comparisons_find(benchmark: Any) -> None:
    """The tables of docs/measurement.md on standard output (`-s`)."""
    benchmark.pedantic(simulated, (0.01,), rounds=5)
    print("\nspread, shared, told: false alarms, +5 %, found in 90 %")
    for spread, between, told in product((0.005, 0.01, 0.02, 0.03, 0.05), (0.0, 0.01), (False, True)):
        # The median of five normal values spreads by 0.536 of what they do.
        nights = simulated(spread, between=between, least=least_effect(100, told * hypot(between, 0.536 * spread)))
        found = f"{nights.false_alarms:.2%}, {nights.found(0.05):.0%}, {nights.smallest():.1%}"
        print(f"{spread:.1%}, {between:.0%}, {told}: {found}; {restarts_for(spread)} restarts for 1 % either way")
    for restarts, baseline, family in product((5, 10), (15, 30, 70), (1, 30, 200)):
        nights = simulated(0.02, restarts=restarts, baseline=baseline, family=family)
        print(f"{restarts} against {baseline}, family of {family}: {nights.smallest():.1%}")


def test_standings_of_ten_thousand_rows(benchmark: Any) -> None:
    rng = random.Random(1)
    template = make_row()
    assert template.accuracy
    rows = []
    for _ in range(10_000):
        accuracy = template.accuracy.model_copy(update={"value": rng.uniform(50, 80)})
        rows.append(template.model_copy(update={"median_ms": rng.uniform(1, 99), "accuracies": (accuracy,)}))
    benchmark.pedantic(standings, (rows,), rounds=3)
