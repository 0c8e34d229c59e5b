"""How far the doctor may be believed: devices of known noise, examined often. Figures on standard output (`-s`)."""

from __future__ import annotations

import numpy as np
import pytest

from results.judge.change import planning
from results.judge.change.fitness import EFFECT, fitness
from tests.results.judge.change.test_fitness import measured

pytestmark = pytest.mark.perf

EXAMINATIONS = 100
NOISES = ((0.005, 0.0), (0.01, 0.0), (0.01, 0.01), (0.02, 0.0), (0.005, 0.02), (0.03, 0.0))


@pytest.mark.parametrize(("spread", "between"), NOISES)
def test_what_is_found_where_the_doctor_says_fit(spread: float, between: float) -> None:
    rng = np.random.default_rng(0)
    found, alarms = [], []
    for seed in range(EXAMINATIONS):
        logs = rng.normal(0, spread, (6, 5)) + rng.normal(0, between, (6, 1))
        told = fitness(*measured(20 * np.exp(logs)))
        if told.is_fit:
            nights = planning.simulated(spread, between=between, least=told.least or 0.0, seed=seed)
            found.append(nights.found(EFFECT))
            alarms.append(nights.false_alarms)
    fit = f"{spread:.1%}, {between:.1%}: fit in {len(found)} of {EXAMINATIONS}"
    print(
        f"\n{fit}" + (f"; 5 % then found in {np.mean(found):.1%}, false alarms {np.mean(alarms):.2%}" if found else "")
    )
    assert spread + between > 0.01 or len(found) == EXAMINATIONS
