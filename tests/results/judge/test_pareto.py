from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from results.judge.pareto import Standing, has_place, standings, standings_by_class
from results.records import Accuracy, Row, Verdict
from tests.results.factory import make_row

FEW = st.integers(1, 6)
ROWS = st.lists(
    st.builds(
        lambda median, top1, width, device, kind, verdict: make_row(
            median=float(median),
            top1=float(top1),
            ci95_ms=(median - width / 2, median + width / 2),
            device=device,
            kind=kind,
            verdict=verdict,
        ),
        FEW,
        FEW,
        st.integers(0, 4),
        st.sampled_from("ab"),
        st.sampled_from(["published", "measured"]),
        st.sampled_from([Verdict.VALID] * 4 + [Verdict.UNSTABLE]),
    ),
    max_size=14,
)


def brute_force(rows: list[Row]) -> list[Standing]:
    """The definition, word by word, in O(n^3)."""

    def comparable(a: Row, b: Row) -> bool:
        return a.device == b.device and a.accuracy.kind == b.accuracy.kind

    def overlap(a: Row, b: Row) -> bool:
        return a.ci95_ms[0] <= b.ci95_ms[1] and b.ci95_ms[0] <= a.ci95_ms[1]

    def dominates(a: Row, b: Row) -> bool:
        better = a.accuracy.value >= b.accuracy.value and a.median_ms <= b.median_ms
        return better and (a.accuracy.value > b.accuracy.value or a.median_ms < b.median_ms)

    result = []
    valid = [i for i, row in enumerate(rows) if row.verdict is Verdict.VALID]
    for index, row in enumerate(rows):
        peers = [i for i in valid if comparable(rows[i], row)]
        if index not in valid:
            result.append(Standing("none"))
            continue
        over = [i for i in peers if dominates(rows[i], row)]
        if not over:
            result.append(Standing("frontier"))
            continue
        noise = all(rows[i].accuracy.value == row.accuracy.value and overlap(rows[i], row) for i in over)
        frontier = [i for i in over if not any(dominates(rows[k], rows[i]) for k in peers)]
        best = min(frontier, key=lambda i: (rows[i].median_ms, -rows[i].accuracy.value, i))
        result.append(Standing("tie" if noise else "dominated", best))
    return result


@given(ROWS)
def test_against_the_definition(rows: list[Row]) -> None:
    assert standings(rows) == brute_force(rows)


@given(ROWS, st.randoms())
def test_order_of_rows_is_irrelevant(rows: list[Row], rng: random.Random) -> None:
    order = list(range(len(rows)))
    rng.shuffle(order)
    before, after = standings(rows), standings([rows[i] for i in order])
    assert [standing.status for standing in after] == [before[i].status for i in order]


@given(ROWS)
def test_a_dominated_row_changes_nothing(rows: list[Row]) -> None:
    before = standings(rows)
    kept = [i for i, standing in enumerate(before) if standing.status != "dominated"]
    assert [s.status for s in standings([rows[i] for i in kept])] == [before[i].status for i in kept]


@given(ROWS)
def test_a_dominator_is_on_the_frontier_of_the_same_class(rows: list[Row]) -> None:
    result = standings(rows)
    for row, standing in zip(rows, result, strict=True):
        if standing.dominated_by is not None:
            over = rows[standing.dominated_by]
            assert result[standing.dominated_by].status == "frontier"
            assert (over.device, over.accuracy.kind) == (row.device, row.accuracy.kind)


def test_a_small_example() -> None:
    fast, slow = make_row("fast", 5, 60), make_row("slow", 20, 75)
    worse, worst = make_row("worse", 21, 74), make_row("worst", 22, 50)
    result = standings([worst, slow, fast, worse])
    assert [standing.status for standing in result] == ["dominated", "frontier", "frontier", "dominated"]
    assert [standing.dominated_by for standing in result] == [2, None, None, 1]


def test_noise_makes_a_tie_only_at_equal_accuracy() -> None:
    fast = make_row("a", 10.0, 70, ci95_ms=(9, 11))
    assert standings([fast, make_row("b", 10.5, 70, ci95_ms=(9.5, 12))])[1] == Standing("tie", 0)
    assert standings([fast, make_row("b", 10.5, 69.9, ci95_ms=(9.5, 12))])[1] == Standing("dominated", 0)
    assert standings([fast, make_row("b", 12, 70, ci95_ms=(11.5, 13))])[1] == Standing("dominated", 0)
    assert standings([fast, make_row("b", 10.0, 70)])[1] == Standing("frontier")


def test_rows_that_have_no_place() -> None:
    rows = [
        make_row(median=None, verdict=Verdict.FAILED),
        make_row(top1=None),
        make_row(median=0.0),
        make_row(verdict=Verdict.THROTTLED),
        make_row(nonfinite="y: 16 of 16 values are NaN or infinite"),
    ]
    assert standings(rows) == [Standing("none")] * 5
    assert [has_place(row) for row in rows] == [False, False, False, True, True]
    assert standings([]) == []


def test_a_row_stands_in_every_class_it_has_an_accuracy_of() -> None:
    measured = Accuracy(value=50, kind="measured", source="bench")
    row = make_row("both", 10, 70)
    row = row.model_copy(update={"accuracies": (*row.accuracies, measured, measured)})
    rows = [make_row("published", 9, 71), row, make_row("measured", 12, 49, kind="measured"), make_row(top1=None)]
    published, own = (("published", "top-1 %", "ImageNet-1k val"), ("measured", "top-1 %", "ImageNet-1k val"))
    assert standings_by_class(rows) == [
        {published: Standing("frontier")},
        {published: Standing("dominated", 0), own: Standing("frontier")},
        {own: Standing("dominated", 1)},
        {},
    ]
