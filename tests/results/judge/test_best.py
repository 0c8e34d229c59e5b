from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from results.judge.best import Limits, answer, classes
from results.judge.pareto import standings
from results.records import Accuracy, Row, Verdict
from tests.results.factory import make_row

PUBLISHED = ("published", "top-1 %", "ImageNet-1k val")
MEASURED = ("measured", "top-1 %", "ImageNet-1k val")


def measured(model: str, median: float, value: float, noise: float = 0.5, **changes: object) -> Row:
    return make_row(model, median, value, kind="measured", accuracy_ci95=(value - noise, value + noise), **changes)


def names(rows: object) -> list[str]:
    return [row.model for row in rows]


def test_within_a_latency_the_most_accurate_then_the_fastest() -> None:
    rows = [make_row("a", 5, 70), make_row("b", 8, 72), make_row("c", 7, 72), make_row("d", 12, 80)]
    found = answer(rows, PUBLISHED, Limits(max_latency_ms=10))
    assert names(found.fitting) == ["c", "b", "a"]
    assert (found.best.model, found.second.model) == ("c", "b")
    assert {limit: row.model for limit, row in found.better.items()} == {"max_latency_ms": "d"}
    assert found.unsure == ()


def test_above_an_accuracy_the_fastest() -> None:
    rows = [make_row("a", 5, 70), make_row("b", 8, 72), make_row("c", 7, 72), make_row("d", 12, 80)]
    assert names(answer(rows, PUBLISHED, Limits(min_accuracy=71)).fitting) == ["c", "b", "d"]
    assert names(answer(rows, PUBLISHED, Limits(min_accuracy=71, max_latency_ms=20)).fitting) == ["d", "c", "b"]
    assert names(answer(rows, PUBLISHED, Limits()).fitting) == ["d", "c", "b", "a"]


def test_size_and_memory_are_limits_and_must_be_known() -> None:
    small = make_row("small", 5, 60, size_bytes=10**6, peak_rss_bytes=50 * 10**6)
    large = make_row("large", 5, 70, size_bytes=10**7, peak_rss_bytes=50 * 10**6)
    hungry = make_row("hungry", 5, 70, size_bytes=10**6, peak_rss_bytes=500 * 10**6)
    unknown = make_row("unknown", 5, 70)
    rows = [small, large, hungry, unknown]
    found = answer(rows, PUBLISHED, Limits(max_size_bytes=2e6, max_memory_bytes=1e8))
    assert names(found.fitting) == ["small"]
    assert {limit: row.model for limit, row in found.better.items()} == {
        "max_size_bytes": "large",
        "max_memory_bytes": "hungry",
    }
    assert {why: names(left) for why, left in found.left_out.items()} == {"the size is not known": ["unknown"]}


def test_what_noise_leaves_open() -> None:
    best = measured("best", 9.8, 91.0, ci95_ms=(9.4, 10.3))
    as_good = measured("as good and faster", 5, 90.4)
    beaten = measured("nothing speaks for it", 9.9, 90.9, 0.4, ci95_ms=(9.85, 9.95)).model_copy(update={})
    slower = measured("slower for sure", 12, 91.0)
    near = measured("perhaps within", 10.1, 92.5, ci95_ms=(9.9, 10.4))
    worse = measured("less accurate for sure", 4, 88)
    found = answer([best, as_good, slower, near, worse, beaten], MEASURED, Limits(max_latency_ms=10))
    assert found.best.model == "best"
    assert found.unsure == ("max_latency_ms",)
    assert {row.model: why for row, why in found.open} == {
        "perhaps within": "misses the latency by no more than noise",
        "as good and faster": "is not told apart from the best",
        "nothing speaks for it": "is not told apart from the best",
    }
    sure = best.model_copy(update={"ci95_ms": (9.75, 9.82)})
    found = answer([sure, beaten], MEASURED, Limits(max_latency_ms=10))
    assert found.open == (), "equal in accuracy but for noise, and slower for sure"


def test_when_nothing_fits_the_nearest_for_each_limit() -> None:
    rows = [make_row("slow", 12, 80), make_row("slower", 15, 90), make_row("fast", 5, 60), make_row("middle", 11, 60)]
    found = answer(rows, PUBLISHED, Limits(max_latency_ms=10, min_accuracy=70))
    assert found.best is None
    assert [(one.limit, one.row.model, one.also) for one in found.nearest] == [
        ("max_latency_ms", "slow", ()),
        ("min_accuracy", "fast", ()),
    ]
    assert answer([], PUBLISHED, Limits()).best is None


def test_what_is_left_out_says_why() -> None:
    other = Accuracy(value=90, dataset="another", kind="published", source="s")
    rows = [
        make_row("right", 5, 70),
        make_row("none", 5, None),
        make_row("other", 5, 70).model_copy(update={"accuracies": (other,)}),
        make_row("lost", None, 70, verdict=Verdict.FAILED, reason="no memory"),
        make_row("unstable", 5, 90, verdict=Verdict.UNSTABLE, reason="2 of 5 restarts"),
        make_row("unchecked", 5, 90, verified=False),
    ]
    found = answer(rows, PUBLISHED, Limits(max_latency_ms=10))
    assert names(found.fitting) == ["right"]
    assert {why: names(left) for why, left in found.left_out.items()} == {
        "no accuracy is known": ["none"],
        "another accuracy (published top-1 % on another)": ["other"],
        "failed": ["lost"],
        "unstable": ["unstable"],
        "its output was not checked: there is no reference to compare with": ["unchecked"],
    }


def test_a_row_with_two_accuracies_is_judged_by_the_one_that_is_asked_for() -> None:
    own = Accuracy(value=50, kind="measured", source="bench")
    both = make_row("both", 5, 70)
    both = both.model_copy(update={"accuracies": (*both.accuracies, own)})
    assert classes([both, make_row()]) == {PUBLISHED: 2, MEASURED: 1}
    assert answer([both], MEASURED, Limits(min_accuracy=60)).best is None
    assert answer([both], PUBLISHED, Limits(min_accuracy=60)).best.accuracies == both.accuracies[:1]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(50, 60), st.integers(0, 3)), min_size=1, max_size=12),
    st.integers(1, 30),
    st.integers(50, 60),
)
def test_the_best_is_never_dominated(table: list[tuple[int, int, int]], latency: int, accuracy: int) -> None:
    rows = [measured(f"m{n}", float(ms), float(top1), noise) for n, (ms, top1, noise) in enumerate(table)]
    for limits in (Limits(max_latency_ms=latency), Limits(min_accuracy=accuracy), Limits(latency, accuracy)):
        found = answer(rows, MEASURED, limits)
        assert (found.best is None) == (not any(_fits(row, limits) for row in rows))
        assert (found.best is None) == bool(found.nearest)
        if found.best is not None:
            assert _fits(found.best, limits)
            fitting = [row for row in rows if _fits(row, limits)]
            place = [row.model for row in fitting].index(found.best.model)
            assert standings(fitting)[place].status != "dominated"
            assert not {row.model for row, _ in found.open} & {found.best.model}


def _fits(row: Row, limits: Limits) -> bool:
    fast = limits.max_latency_ms is None or row.median_ms <= limits.max_latency_ms
    return fast and (limits.min_accuracy is None or row.accuracy.value >= limits.min_accuracy)
