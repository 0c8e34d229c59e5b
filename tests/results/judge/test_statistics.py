from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge import statistics

DURATIONS = st.lists(
    st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=30), min_size=1, max_size=7
)


def simulate(rng: np.random.Generator, restarts: int, iterations: int = 200) -> list[np.ndarray]:
    """Restarts 1 % apart around 1, iterations 2 % apart around their restart."""
    return [level + rng.normal(0, 0.02, iterations) for level in rng.normal(1, 0.01, restarts)]


@pytest.mark.parametrize(("percentile", "count"), [(50, 11), (90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_minimum_samples_are_those_of_mlperf(percentile: float, count: int) -> None:
    assert statistics.minimum_samples(percentile) == count


@pytest.mark.parametrize("bad", [0, 100, -1, float("nan")])
def test_minimum_samples_refuses_what_is_no_percentile(bad: float) -> None:
    with pytest.raises(ValueError, match="between"):
        statistics.minimum_samples(bad)


@pytest.mark.parametrize("count", [10, 11, 63, 64, 129, 130, 661, 662])
def test_percentiles_appear_exactly_from_their_minimum_on(count: int) -> None:
    half = count // 2
    stated = statistics.percentiles([range(1, half + 1), range(half + 1, count + 1)])
    assert set(stated) == {f"p{p:g}" for p in statistics.PERCENTILES if count >= statistics.minimum_samples(p)}


def test_percentiles_pool_the_restarts() -> None:
    pooled = statistics.percentiles([np.arange(100), np.arange(100, 200)])
    assert pooled["p50"] == 99.5
    assert pooled["p90"] == pytest.approx(np.percentile(np.arange(200), 90))


def test_center_gives_each_restart_one_vote() -> None:
    assert statistics.center([[1] * 1000, [5], [6]]) == 5


def test_mad_of_known_values() -> None:
    assert statistics.mad([1, 1, 2, 2, 4, 6, 9]) == 1
    assert statistics.mad([3]) == 0


def test_relative_spread() -> None:
    assert statistics.relative_spread([5]) is None
    assert statistics.relative_spread([9, 11]) == pytest.approx(0.2)
    assert statistics.relative_spread([9, 10, 11]) == pytest.approx(0.14826)
    assert statistics.relative_spread([10, 10, 10, 10, 99]) == 0
    assert statistics.relative_spread([0, 0, 0]) == 0
    assert statistics.relative_spread([0, 0, 1]) == float("inf")


@pytest.mark.parametrize("bad", [[], [[]], [[1], []]])
def test_no_numbers_from_no_samples(bad: list[list[int]]) -> None:
    for function in (statistics.center, statistics.interval, statistics.percentiles):
        with pytest.raises(ValueError, match="at least one sample"):
            function(bad)


@given(DURATIONS, st.integers(0, 2**64 - 1))
def test_interval_holds_the_estimate_and_stays_within_the_samples(samples: list[list[int]], seed: int) -> None:
    low, high = statistics.interval(samples, seed=seed, resamples=200)
    pooled = [value for restart in samples for value in restart]
    assert min(pooled) <= low <= statistics.center(samples) <= high <= max(pooled)


@given(DURATIONS, st.integers(0, 9), st.randoms())
def test_order_of_restarts_and_iterations_is_irrelevant(samples: list[list[int]], seed: int, random: object) -> None:
    mixed = [list(restart) for restart in samples]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for restart in mixed:
        random.shuffle(restart)  # type: ignore[attr-defined]
    for function in (statistics.center, statistics.percentiles):
        assert function(mixed) == function(samples)
    assert statistics.interval(mixed, seed=seed, resamples=100) == statistics.interval(
        samples, seed=seed, resamples=100
    )


@given(DURATIONS, st.sampled_from([0.25, 0.5, 2.0, 1024.0]))
def test_numbers_scale_with_the_unit(samples: list[list[int]], factor: float) -> None:
    """Powers of two scale floating-point numbers exactly, so equality is exact too."""
    scaled = [[value * factor for value in restart] for restart in samples]
    expected = tuple(factor * bound for bound in statistics.interval(samples, resamples=100))
    assert statistics.interval(scaled, resamples=100) == expected
    assert statistics.center(scaled) == factor * statistics.center(samples)
    medians = statistics.restart_medians(samples)
    assert statistics.mad(medians * factor) == factor * statistics.mad(medians)


@given(DURATIONS)
def test_percentiles_rise(samples: list[list[int]]) -> None:
    values = list(statistics.percentiles(samples).values())
    assert values == sorted(values)


def test_interval_is_deterministic_and_follows_its_seed() -> None:
    samples = simulate(np.random.default_rng(3), 5)
    assert statistics.interval(samples, seed=1) == statistics.interval(samples, seed=1)
    assert statistics.interval(samples, seed=1) != statistics.interval(samples, seed=2)


def test_more_confidence_is_wider() -> None:
    samples = simulate(np.random.default_rng(4), 8)
    narrow, wide = (statistics.interval(samples, level=level) for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_equal_samples_have_an_interval_of_no_width() -> None:
    assert statistics.interval([[7] * 20] * 3) == (7, 7)


def test_one_restart_has_the_interval_of_its_iterations() -> None:
    low, high = statistics.interval([np.random.default_rng(1).normal(100, 1, 400)])
    assert 99 < low < high < 101
    assert high - low == pytest.approx(2 * 1.96 * 1.2533 / 20, rel=0.35)  # normal theory of a median


@pytest.mark.parametrize("size", [1, 2, 3, 10, 31])
def test_shortcut_draws_the_same_medians_as_resampling(size: int) -> None:
    """The distribution of medians drawn by rank, against that of resampled iterations."""
    rng = np.random.default_rng(5)
    pool = np.sort(rng.gamma(2, 1, size))
    count = 20_000
    slow = np.median(rng.choice(pool, size=(count, size)), axis=1)
    zero = np.zeros(count, dtype=np.int64)
    fast = statistics._resampled_medians(rng, pool, zero, np.full(count, size))
    at = np.linspace(0.05, 0.95, 19)
    # Compared through the distribution function: quantiles of few distinct values jump.
    grid = np.quantile(slow, at)
    difference = [abs(float((fast <= x).mean()) - float((slow <= x).mean())) for x in grid + 1e-9]
    assert max(difference) < 0.02


@pytest.mark.parametrize(
    ("restarts", "least", "most"), [(1, 0.20, 0.34), (2, 0.56, 0.70), (3, 0.75, 0.87), (5, 0.89, 0.97)]
)
def test_coverage_is_what_the_docstring_says(restarts: int, least: float, most: float) -> None:
    """600 cases of 95 % intervals; the bounds are three standard errors around the documented figures."""
    rng = np.random.default_rng(11)
    cases = 600
    covered = 0
    for seed in range(cases):
        low, high = statistics.interval(simulate(rng, restarts), seed=seed, resamples=1000)
        covered += low <= 1 <= high
    assert least <= covered / cases <= most
