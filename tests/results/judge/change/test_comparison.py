from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge import statistics
from results.judge.change.comparison import ALPHA, Comparison, compare, corrected, holm, least_effect
from results.judge.figures import figure, ratio

LATENCIES = st.lists(st.floats(100, 130), min_size=1, max_size=8)
BASELINES = st.lists(st.floats(100, 130), min_size=10, max_size=20)
PS = st.lists(st.floats(0, 1), max_size=12)
RNG = np.random.default_rng(8)
QUIET = RNG.normal(100, 1, 15)
TONIGHT = RNG.normal(100, 1, 5)


def test_what_is_slower_is_called_slower_with_its_size() -> None:
    found = compare(TONIGHT * 1.06, QUIET)
    assert found.verdict == "slower"
    assert found.effect == pytest.approx(0.06, abs=0.02)
    assert found.interval is not None
    assert found.interval[0] < found.effect < found.interval[1]
    assert found.p == found.p_slower < ALPHA
    assert found.reason.startswith(f"{found.effect:.1%} slower (95%: +")
    assert "p=" in found.reason


def test_what_is_faster_is_called_faster() -> None:
    found = compare(TONIGHT / 1.06, QUIET)
    assert found.verdict == "faster"
    assert found.p == found.p_faster < ALPHA < found.p_slower
    assert "faster" in found.reason


@pytest.mark.parametrize(
    ("times", "said"),
    [(1.0, "less than the 3.0% from which on changes count"), (1.025, "beyond chance"), (1.0, "p=")],
)
def test_what_is_no_change_says_why(times: float, said: str) -> None:
    found = compare(TONIGHT * times, QUIET)
    assert found.verdict == "same"
    assert said in found.reason


def test_a_large_effect_that_chance_makes_is_no_change() -> None:
    found = compare([100, 100, 110, 110, 120], [*range(95, 110)])
    assert found.verdict == "same"
    assert found.effect is not None
    assert found.effect > found.least
    assert "chance alone" in found.reason


@pytest.mark.parametrize("baseline", [0, 1, 9])
def test_a_thin_baseline_gives_no_verdict_however_slow(baseline: int) -> None:
    found = compare([900, 901, 902, 903, 904, 905, 906], [100 + i for i in range(baseline)])
    assert found.verdict == "no verdict"
    assert found.reason == f"the baseline has {baseline} restarts, and at least 10 are needed"
    assert (found.effect is None) == (baseline == 0)


def test_so_few_restarts_that_nothing_could_be_found_give_no_verdict() -> None:
    found = compare([900, 901], range(100, 115))
    assert found.verdict == "no verdict"
    assert "2 restarts against 15 cannot be beyond chance: at best p=0.0074" in found.reason
    assert compare([900, 901, 902], range(100, 115)).verdict == "slower"  # 1 in 816 choices


def test_nothing_measured_is_no_verdict() -> None:
    found = compare([], QUIET)
    assert (found.verdict, found.reason, found.effect) == ("no verdict", "nothing was measured", None)


def test_without_an_effect_the_interval_is_not_invented() -> None:
    assert compare([100], range(100, 115)).interval is None


@pytest.mark.parametrize("bad", [0, -1, nan, float("inf")])
def test_what_is_no_duration_is_refused(bad: float) -> None:
    for pair in ([bad], [1.0]), ([1.0], [bad]):
        with pytest.raises(ValueError, match="durations"):
            compare(*pair)


def test_the_least_effect_is_the_largest_of_three() -> None:
    assert least_effect(100) == 0.03
    assert least_effect(1) == pytest.approx(0.05)
    assert least_effect(100, floor=0.02) == pytest.approx(0.06)
    assert compare(TONIGHT * 1.06, QUIET, floor=0.03).verdict == "same"
    assert compare(TONIGHT * 1.06 / 1000, QUIET / 1000).verdict == "same"  # 6 us


@given(BASELINES, BASELINES)
def test_a_comparison_turns_over(new: list[float], old: list[float]) -> None:
    there, back = compare(new, old), compare(old, new)
    assert there.effect is not None
    assert back.effect is not None
    assert (1 + there.effect) * (1 + back.effect) == pytest.approx(1)
    assert (there.p_slower, there.p_faster) == pytest.approx((back.p_faster, back.p_slower))
    if max(there.effect, back.effect) != pytest.approx(there.least):  # where the last bit decides
        assert back.verdict == {"slower": "faster", "faster": "slower"}.get(there.verdict, there.verdict)


@given(LATENCIES, BASELINES, st.sampled_from([0.5, 2.0, 64.0]))
def test_the_unit_and_the_order_are_irrelevant(new: list[float], old: list[float], factor: float) -> None:
    found = compare(new, old)
    scaled = compare([factor * value for value in new[::-1]], [factor * value for value in sorted(old)])
    assert scaled.verdict == found.verdict
    assert (scaled.p_slower, scaled.p_faster) == (found.p_slower, found.p_faster)
    assert scaled.effect == pytest.approx(found.effect, abs=1e-9)


@given(
    st.lists(st.integers(100, 130), min_size=1, max_size=8),
    st.lists(st.integers(100, 130), min_size=10, max_size=20),
    st.sampled_from([1, 1.001, 1.01, 1.1, 1.5]),
    st.floats(0, 0.1),
)
def test_slower_by_more_is_not_less_slow(new: list[int], old: list[int], times: float, floor: float) -> None:
    found, more = compare(new, old, floor=floor), compare([times * value for value in new], old, floor=floor)
    assert found.effect is not None
    assert more.effect is not None
    assert more.effect >= found.effect - 1e-9
    assert more.p_slower <= found.p_slower + 1e-12
    if found.verdict == "slower":
        assert more.verdict == "slower"


@given(BASELINES)
def test_nothing_is_slower_than_itself(values: list[float]) -> None:
    found = compare(values, values)
    assert (found.verdict, found.effect) == ("same", 0)


@given(PS)
def test_holm_is_between_nothing_and_bonferroni(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert len(adjusted) == len(ps)
    for p, found in zip(ps, adjusted, strict=True):
        assert p <= found <= min(1.0, len(ps) * p) or found == 1
    assert [adjusted[i] for i in np.argsort(ps)] == sorted(adjusted)


def test_holm_of_known_values() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_family_asks_more_of_each() -> None:
    clear, weak = compare(TONIGHT * 1.5, QUIET), compare([104.2, 104.5, 105.3, 106, 107], [*range(92, 107)])
    assert (clear.verdict, weak.verdict) == ("slower", "slower")
    calm = compare(TONIGHT, QUIET)
    first, second, *_ = corrected([clear, weak, *[calm] * 8])
    assert (first.verdict, first.family) == ("slower", 10)
    assert first.p == pytest.approx(10 * clear.p)
    assert second.verdict == "same"
    assert "among 10 series" in second.reason


def test_a_family_too_large_for_its_baselines_has_no_verdict_and_says_so() -> None:
    slow = compare(TONIGHT * 1.5, QUIET)
    assert {one.verdict for one in corrected([slow] + [compare(TONIGHT, QUIET)] * 30)} == {"slower", "same"}
    found = corrected([slow] + [compare(TONIGHT, QUIET)] * 31)
    assert {one.verdict for one in found} == {"no verdict"}
    assert "at best p=0.0021" in found[0].reason


def test_what_had_no_verdict_stays_so_and_is_not_of_the_family() -> None:
    none, slow = compare([1], [2]), compare(TONIGHT * 1.5, QUIET)
    found = corrected([none, slow, none])
    assert found == [none, slow, none]
    assert isinstance(found[0], Comparison)


def test_the_interval_of_a_ratio_is_that_of_its_two_bootstraps() -> None:
    """300 cases of equal pairs: what `figures.ratio` makes of two intervals covers 1 as a 95 % interval does."""
    rng = np.random.default_rng(12)

    def measured(seed: int) -> tuple[float, tuple[float, float]]:
        samples = [level * rng.lognormal(0, 0.02, 100) for level in rng.lognormal(0, 0.01, 5)]
        return statistics.center(samples), statistics.interval(samples, seed=seed, resamples=500)

    found = [ratio(figure(*measured(2 * case)), figure(*measured(2 * case + 1))) for case in range(300)]
    assert np.mean([one.low <= 1 <= one.high for one in found]) > 0.92
