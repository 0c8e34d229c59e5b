from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.figures import Figure, difference, figure, loss, ratio
from results.records import Accuracy

POSITIVE = st.floats(1e-3, 1e6)
FIGURES = st.builds(
    lambda value, down, up: Figure(value * (1 - down), value, value * (1 + up)),
    POSITIVE,
    st.floats(0, 0.9),
    st.floats(0, 9),
)


def test_a_figure_holds_its_own_value() -> None:
    assert figure(3, (1, 2)) == Figure(1, 3, 3)
    assert figure(3, None) == Figure(3, 3, 3)
    assert loss(Accuracy(value=70, kind="measured", source="s", ci95=(69, 72))) == Figure(-72, -70, -69)
    assert -Figure(1, 2, 4) == Figure(-4, -2, -1)


@given(FIGURES, FIGURES)
def test_a_ratio_has_its_value_inside_and_turns_over(a: Figure, b: Figure) -> None:
    there, back = ratio(a, b), ratio(b, a)
    assert there.value == pytest.approx(a.value / b.value)
    assert there.low <= there.value * (1 + 1e-9)
    assert there.high >= there.value * (1 - 1e-9)
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low))


def test_exact_figures_have_an_exact_difference_and_ratio() -> None:
    a, b = figure(6, None), figure(4, None)
    assert difference(a, b) == Figure(2, 2, 2)
    assert ratio(a, b) == pytest.approx((1.5, 1.5, 1.5))
    assert math.isfinite(ratio(a, Figure(0, 4, 8)).high)


def test_the_interval_of_a_difference_covers_the_truth() -> None:
    """Two normal means with standard errors of 2 and 1; the true difference is 5."""
    rng = np.random.default_rng(1)
    a, b = 15 + 2 * rng.standard_normal(4000), 10 + rng.standard_normal(4000)
    found = [
        difference(Figure(x - 3.92, x, x + 3.92), Figure(y - 1.96, y, y + 1.96)) for x, y in zip(a, b, strict=True)
    ]
    assert np.mean([one.low <= 5 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)
