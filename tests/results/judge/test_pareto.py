from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.pareto import Standing, has_place, off_frontier, standings, standings_by_class
from results.records import Accuracy, Evaluated, Row, Verdict
from tests.results.factory import make_row

FEW = st.integers(1, 6)
ROWS = st.lists(
    st.builds(
        lambda median, top1, width, share, noise, device, kind, verdict: make_row(
            median=float(median),
            top1=float(top1),
            ci95_ms=(median - width * share / 4, median + width * (4 - share) / 4),
            accuracy_ci95=None if noise is None else (top1 - noise, top1 + noise / 2),
            device=device,
            kind=kind,
            verdict=verdict,
        ),
        FEW,
        FEW,
        st.integers(0, 4),
        st.integers(0, 4),
        st.sampled_from([None, 0, 1, 2, 4]),
        st.sampled_from("ab"),
        st.sampled_from(["published", "measured"]),
        st.sampled_from([Verdict.VALID] * 4 + [Verdict.UNSTABLE]),
    ),
    max_size=14,
)


def accuracy_interval(row: Row) -> tuple[float, float]:
    return row.accuracy.ci95 or (row.accuracy.value, row.accuracy.value)


def comparable(a: Row, b: Row) -> bool:
    return a.device == b.device and a.accuracy.kind == b.accuracy.kind and {a.verdict, b.verdict} == {Verdict.VALID}


def better_beyond_noise(a: Row, b: Row) -> bool:
    return a.ci95_ms[1] < b.ci95_ms[0] or accuracy_interval(a)[0] > accuracy_interval(b)[1]


def no_worse(a: Row, b: Row) -> bool:
    return a.accuracy.value >= b.accuracy.value and a.median_ms <= b.median_ms


def beats(a: Row, b: Row) -> bool:
    return comparable(a, b) and no_worse(a, b) and better_beyond_noise(a, b)


def matches(a: Row, b: Row) -> bool:
    better = better_beyond_noise(a, b) or (no_worse(a, b) and not no_worse(b, a))
    return comparable(a, b) and better and not better_beyond_noise(b, a)


def brute_force(rows: list[Row]) -> list[str]:
    """The definition, word by word."""
    beaten = [any(beats(a, b) for a in rows) for b in rows]
    left = [row for row, lost in zip(rows, beaten, strict=True) if not lost]

    def status(row: Row, lost: bool) -> str:
        if row.verdict is not Verdict.VALID:
            return "none"
        return "dominated" if lost else "tie" if any(matches(a, row) for a in left) else "frontier"

    return [status(row, lost) for row, lost in zip(rows, beaten, strict=True)]


@given(ROWS)
def test_against_the_definition(rows: list[Row]) -> None:
    assert [standing.status for standing in standings(rows)] == brute_force(rows)


@given(ROWS)
def test_the_row_that_is_named_beats_or_matches(rows: list[Row]) -> None:
    result = standings(rows)
    for row, standing in zip(rows, result, strict=True):
        assert (standing.dominated_by is None) == (standing.status in ("frontier", "none"))
        if standing.dominated_by is not None:
            over = beats if standing.status == "dominated" else matches
            assert over(rows[standing.dominated_by], row)
            best = min((found.status for found, other in zip(result, rows, strict=True) if over(other, row)), key=RANK)
            assert result[standing.dominated_by].status == best


RANK = ["frontier", "tie", "dominated"].index


@given(ROWS)
def test_nothing_is_beaten_in_a_circle(rows: list[Row]) -> None:
    result = standings(rows)
    valid = [standing for standing in result if standing.status != "none"]
    assert not valid or any(standing.on_frontier for standing in valid)
    for standing in valid:
        for _ in rows:
            standing = standing if standing.status != "dominated" else result[standing.dominated_by]
        assert standing.on_frontier


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
def test_wider_intervals_dominate_less(rows: list[Row]) -> None:
    def widened(row: Row) -> Row:
        low, high = accuracy_interval(row)
        accuracy = row.accuracy.model_copy(update={"ci95": (low - 1, high + 1)})
        interval = (row.ci95_ms[0] - 1, row.ci95_ms[1] + 1)
        return row.model_copy(update={"accuracies": (accuracy,), "ci95_ms": interval})

    lost = [standing.status == "dominated" for standing in standings(rows)]
    wide = [standing.status == "dominated" for standing in standings([widened(row) for row in rows])]
    assert all(before for before, after in zip(lost, wide, strict=True) if after)


def test_a_small_example() -> None:
    fast, slow = make_row("fast", 5, 60), make_row("slow", 20, 75)
    worse, worst = make_row("worse", 21, 74), make_row("worst", 22, 50)
    result = standings([worst, slow, fast, worse])
    assert [standing.status for standing in result] == ["dominated", "frontier", "frontier", "dominated"]
    assert [standing.dominated_by for standing in result] == [2, None, None, 1]


def test_noise_of_latency_makes_a_tie_at_equal_accuracy() -> None:
    fast = make_row("a", 10.0, 70, ci95_ms=(9, 11))
    assert standings([fast, make_row("b", 10.5, 70, ci95_ms=(9.5, 12))])[1] == Standing("tie", 0)
    assert standings([fast, make_row("b", 10.5, 69.9, ci95_ms=(9.5, 12))])[1] == Standing("dominated", 0)
    assert standings([fast, make_row("b", 12, 70, ci95_ms=(11.5, 13))])[1] == Standing("dominated", 0)
    assert standings([fast, make_row("b", 10.0, 70)])[1] == Standing("frontier")


def measured(model: str, median: float, value: float, noise: float = 0.5) -> Row:
    return make_row(model, median, value, kind="measured", accuracy_ci95=(value - noise, value + noise))


@pytest.mark.parametrize(
    ("slow", "status"),
    [
        (measured("no more accurate, clearly slower", 10, 91.0), "dominated"),
        (measured("more accurate by noise, clearly slower", 10, 91.3), "tie"),
        (measured("clearly more accurate", 10, 92.1), "frontier"),
        (measured("less accurate by noise, slower by noise", 5.02, 90.8), "tie"),
        (measured("clearly less accurate, slower by noise", 5.02, 89.9), "dominated"),
    ],
)
def test_both_noises_count(slow: Row, status: str) -> None:
    assert standings([measured("int8", 5, 91.0), slow]) == [
        Standing("frontier"),
        Standing(status, None if status == "frontier" else 0),
    ]


def test_rows_that_match_each_other_in_a_circle_are_all_kept() -> None:
    def row(model: str, latency: tuple[float, float, float], accuracy: tuple[float, float, float]) -> Row:
        return make_row(
            model,
            latency[1],
            accuracy[1],
            ci95_ms=(latency[0], latency[2]),
            kind="measured",
            accuracy_ci95=(accuracy[0], accuracy[2]),
        )

    a, b = row("a", (1, 1, 1), (61, 61, 61)), row("b", (2, 2, 2), (61, 62.5, 63))
    c, d = row("c", (3, 3, 3), (63, 63, 63)), row("d", (1, 1.5, 3), (62, 62, 62))
    assert [standing.status for standing in standings([a, b, c, d])] == ["tie"] * 4


def test_rows_that_have_no_place() -> None:
    rows = [
        make_row(median=None, verdict=Verdict.FAILED),
        make_row(top1=None),
        make_row(median=0.0),
        make_row(verdict=Verdict.THROTTLED),
        make_row(nonfinite="y: 16 of 16 values are NaN or infinite"),
    ]
    assert [standing.status for standing in standings(rows)] == ["none"] * 5
    assert [has_place(row) for row in rows] == [False, False, False, True, True]
    assert standings([]) == []


LOST = "a signal-to-noise ratio of 2.0 dB on 64 inputs against fp32"
EVALUATED = Evaluated(dataset="d", dataset_sha256="0" * 64, metric="top-1 %", value=88, samples=100, total=100)


def test_a_row_off_the_frontier_says_why() -> None:
    wide = make_row("wide", 9, 71, verdict=Verdict.UNSTABLE, reason="3 of 5 restarts")
    unchecked = make_row("unchecked", 9, 71, verified=False, unverified="the tool that measured gives no output")
    destroyed = make_row("micronet_m3", 9, 71, precision="int8", destroyed=LOST)
    rows = [make_row("right", 10, 70), wide, unchecked, destroyed]
    assert [standing.status for standing in standings(rows)] == ["frontier", "none", "none", "none"]
    assert [standing.reason for standing in standings(rows)][1:] == [
        "unstable: 3 of 5 restarts",
        "its output was not checked: the tool that measured gives no output",
        f"destroyed by its precision: {LOST}",
    ]


def test_an_accuracy_that_was_measured_speaks_for_itself() -> None:
    """The labels of a data set check the output, and what was destroyed has the accuracy that it has."""
    changes = {"verified": False, "destroyed": LOST, "evaluation": EVALUATED}
    assert off_frontier(make_row("own", 9, 88, kind="measured", **changes)) == ""
    assert off_frontier(make_row("published", 9, 88, **changes)) != ""


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
