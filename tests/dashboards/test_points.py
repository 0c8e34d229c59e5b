from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from dashboards.points import ANY, chartable, labels_that_fit, lowest, options, point, selections, twins, with_standings
from results.judge.pareto import standings
from results.judge.summary import rows
from results.records import Row, Verdict
from tests.results.factory import make_row, make_run


def each_selection(table: list[Row]) -> Iterator[tuple[list[int], dict]]:
    shown = chartable(table)
    values = options(shown)
    for key, found in selections(shown).items():
        device, kind, *chosen = key.split("|")
        fields = dict(zip(("backend", "precision", "threads"), chosen, strict=True))
        members = [
            index
            for index, row in enumerate(shown.rows)
            if row.device == values["device"][int(device)]
            and (not shown.with_accuracy or row.accuracy.kind == values["accuracy"][int(kind)][0])
            and all(v == ANY or getattr(row, f) == values[f][int(v)] for f, v in fields.items())
        ]
        yield members, found


def test_every_selection_has_the_frontier_of_its_own_rows() -> None:
    table = rows(make_run(2, 8, 3))
    table += [
        row.model_copy(update={"accuracies": (row.accuracy.model_copy(update={"kind": "measured"}),)}) for row in table
    ]
    shown = chartable(table)
    seen = 0
    for members, found in each_selection(table):
        seen += 1
        expected = standings([shown.rows[index] for index in members])
        by_status = {"frontier": set(), "tie": set(), "dominated": set(), "none": set()}
        for index, standing in zip(members, expected, strict=True):
            by_status[standing.status].add(index)
        assert set(found["frontier"]) == by_status["frontier"]
        assert {index for index, _ in found["tie"]} == by_status["tie"]
        assert {index for index, _ in found["dominated"]} == by_status["dominated"]
        assert set(found["other"]) == by_status["none"]
        assert {by for _, by in found["dominated"]} <= set(found["frontier"])
        assert set(found["named"]) | set(found["numbered"]) <= set(found["frontier"])
    assert seen > 2 * 2 * 4


def test_a_frontier_is_listed_from_fast_to_slow() -> None:
    shown = chartable([make_row("slow", 30, 75), make_row("fast", 5, 60), make_row("middle", 10, 70)])
    assert selections(shown)["0|0|*|*|*"]["frontier"] == [1, 2, 0]


def test_rows_without_accuracy_are_shown_only_when_none_has_one() -> None:
    with_one, without, lost = make_row(), make_row(top1=None), make_row(median=None, verdict=Verdict.FAILED)
    assert chartable([without, with_one, lost]).rows == (with_one,)
    plain = chartable([without, lost])
    assert (plain.rows, plain.with_accuracy) == ((without,), False)
    assert selections(plain)["0|0|*|*|*"]["other"] == [0]
    assert selections(chartable([])) == {}


def test_labels_never_hit_each_other() -> None:
    rng = random.Random(2)
    rows = [make_row(f"model_{'x' * rng.randrange(12)}", 5 + i * 0.7, 50 + i * 0.4) for i in range(60)]
    named, numbered = labels_that_fit(rows, range(60))
    assert not set(named) & set(numbered)
    assert 59 in named
    assert 3 < len(named) < 60
    assert labels_that_fit([], []) == ([], [])
    assert labels_that_fit([make_row()], [0]) == ([0], [])


def test_a_name_of_any_length_has_a_label_or_a_number() -> None:
    assert labels_that_fit([make_row("x" * 400), make_row("y", 20, 75)], [0, 1]) == ([1], [0])


def test_points_are_worded_completely() -> None:
    row = make_row("net", 20, 70, verdict=Verdict.UNSTABLE, reason="3 of 5 restarts", options={"delegate": "xnnpack"})
    drawn = point(row)
    assert drawn["name"] == "net (onnxruntime, fp32, 4 threads, delegate=xnnpack)"
    assert drawn["latency_text"] == "20.0 ms (95 %: 19.8-20.2)"
    assert drawn["accuracy_text"] == "70 top-1 % on ImageNet-1k val (published)"
    assert drawn["verdict_text"] == "unstable: 3 of 5 restarts"


def test_twins_are_of_one_model_runtime_and_kind_of_accuracy() -> None:
    int8 = {"precision": "int8", "method": "qdq"}
    rows = [
        make_row("net", 10, 90, kind="measured"),
        make_row("net", 10, 75),
        make_row("net", 5, 89, kind="measured", **int8),
        make_row("net", 4, 89, kind="measured", precision="int8", method="nncf"),
        make_row("net", 5, 89, kind="measured", backend="tflite", **int8),
        make_row("other", 5, 89, kind="measured", **int8),
        make_row("net", 5, None, **int8),
        make_row("net+prune0.5", 5, 80, kind="measured", untransformed="net"),
        make_row("net+prune0.5", 4, 79, kind="measured", untransformed="net", **int8),
    ]
    assert twins(rows) == {2: 0, 3: 0, 7: 0, 8: 7}
    assert twins(rows[1:7]) == {}


def test_a_point_has_the_interval_of_its_accuracy() -> None:
    drawn = point(make_row("net", 20, 70, kind="measured", accuracy_ci95=(69, 70.5)))
    assert (drawn["least"], drawn["accuracy"], drawn["most"]) == (69, 70, 70.5)
    assert (point(make_row())["least"], point(make_row())["most"]) == (70, 70)


def test_numbers_on_the_frontier() -> None:
    labels = {
        p["model"]: (p["label"], p["standing"]) for p in with_standings([make_row("b", 20, 75), make_row("a", 5, 60)])
    }
    assert labels == {"a": ("1 a", "on the frontier"), "b": ("2 b", "on the frontier")}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_axis_begins_before_the_fastest_point(count: int) -> None:
    points = [point(make_row(median=10.0 * (1 + n))) for n in range(count)]
    assert 0 < lowest(points) < 10
