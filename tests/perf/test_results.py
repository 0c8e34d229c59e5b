"""What judging and drawing cost: the interval of a case, the frontier of a night."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from results.judge import statistics
from results.judge.pareto import standings
from tests.results.factory import make_row

pytestmark = pytest.mark.perf


def test_interval_of_a_standard_case(benchmark: Any) -> None:
    rng = np.random.default_rng(6)
    samples = [rng.lognormal(0, 0.05, 500) for _ in range(5)]
    benchmark(statistics.interval, samples)


def test_standings_of_ten_thousand_rows(benchmark: Any) -> None:
    rng = random.Random(1)
    template = make_row()
    assert template.accuracy
    rows = []
    for _ in range(10_000):
        accuracy = template.accuracy.model_copy(update={"value": rng.uniform(50, 80)})
        rows.append(template.model_copy(update={"median_ms": rng.uniform(1, 99), "accuracies": (accuracy,)}))
    benchmark.pedantic(standings, (rows,), rounds=3)
