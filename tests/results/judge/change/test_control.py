"""The control beside each row, and what it tells apart: another device, another model, both, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from results.judge.change.control import FEWEST_RUNS, apart, beside, changed, since
from results.judge.summary import rows
from results.records import Row, Verdict
from tests.results.factory import make_case, make_document, make_restart, make_row

CONTROL = "bench:control"


def row(median: float = 10.0, control: float | None = 1.0, *, width: float = 0.01, **changes: object) -> Row:
    interval = None if control is None else (control * (1 - width), control * (1 + width))
    ci95 = (median * (1 - width), median * (1 + width))
    return make_row("net", median, None, ci95_ms=ci95, control_ms=control, control_ci95_ms=interval, **changes)


def control(median: float = 1.0, **changes: object) -> Row:
    return make_row(CONTROL, median, None, control=True, threads=1, **changes)


def test_rows_have_the_control_of_their_device_and_runtime_beside_them() -> None:
    cases = [make_case(), make_case(backend="openvino"), make_case("laptop"), make_case(backend="tflite")]
    controls = [make_case(one.device, CONTROL, one.backend, threads=1, control=True) for one in cases[:3]]
    medians = dict(zip([case.case_id for case in controls], (1.0, 2.0, 3.0), strict=True))
    restarts = [
        make_restart(case, number, median_ms=medians.get(case.case_id, 20.0))
        for case in (*cases, *controls)
        for number in range(5)
    ]
    table = rows(make_document([*controls, *cases], restarts))
    asked, found = apart(table)
    assert [one.case_id for one in table] == [case.case_id for case in (*cases, *controls)], "those of the control last"
    assert [one.control_ms for one in asked] == [one.median_ms for one in found] + [None]
    assert [one.control_ci95_ms for one in asked] == [one.ci95_ms for one in found] + [None]
    assert all(one.control and one.control_ms is None for one in found)


def test_a_control_that_is_not_valid_stands_beside_nothing() -> None:
    (one,) = beside([row(control=None)], [control(verdict=Verdict.CONTENDED, reason="others")])
    assert one.control_ms is None


def test_auto_chooses_no_control() -> None:
    case, of_control = make_case(), make_case(model=CONTROL, threads=1, control=True)
    restarts = [make_restart(one, number) for one in (case, of_control) for number in range(5)]
    asked, (found,) = apart(rows(make_document([case, of_control], restarts, max_loss=1.0)))
    assert (bool(asked[0].chosen), found.chosen) == (True, "")


@pytest.mark.parametrize(
    ("after", "cause", "words"),
    [
        (row(10.1), "nothing", "1.0 % slower"),
        (row(12.0), "model", "its control 0.0 % slower"),
        (row(12.0, 1.2), "device", "the device changed"),
        (row(8.0, 0.8), "device", "20.0 % faster"),
        (row(10.0, 1.3), "device", "its control 30.0 % slower"),
        (row(15.0, 1.2), "both", "and beyond that"),
        (row(12.0, None), "unknown", "not both have a valid control"),
        (row(12.0, verdict=Verdict.UNSTABLE, reason="r"), "unknown", "not both were measured"),
        (row(12.0, width=0.2), "nothing", "20.0 % slower"),
        (row(12.0, artifact_sha256="a" * 64), "model", "its file is another"),
        (row(12.0, backend_version="1.28.0"), "model", "otherwise than under 1.27.0"),
        (row(12.0, 1.2, backend_version="1.28.0"), "device", "or its runtime, which was 1.27.0"),
    ],
)
def test_what_changed_is_told_apart(after: Row, cause: str, words: str) -> None:
    found = changed(row(), after)
    assert found.cause == cause
    assert words in found.words


def test_what_the_device_does_by_itself_is_no_change() -> None:
    assert changed(row(), row(11.0, 1.1)).cause == "device"
    assert changed(row(), row(11.0, 1.1), floor=0.04).cause == "nothing"


def test_a_small_change_of_two_restarts_is_none() -> None:
    assert changed(row(), row(10.9, n_restarts=2)).cause == "nothing"
    assert changed(row(n_restarts=2), row(11.1)).cause == "model"
    assert changed(row(), row(10.9)).cause == "model"


def test_a_short_control_that_moved_alike_clears_the_model() -> None:
    """Its 0.04 ms alone would count for nothing."""
    assert changed(row(), row(10.4, 1.04)).cause == "device"
    assert changed(row(), row(10.4, 1.01)).cause == "model"


@given(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(0.001, 0.2))
@example(1.0, 1.03125, 0.0078125)
def test_there_and_back_is_the_same(own: float, shared: float, width: float) -> None:
    """Only which way it went differs; and a change of the device alone is never one of the model."""
    there, back = row(10, width=width), row(10 * own, shared, width=width)
    forth = changed(there, back).cause
    assert forth in {"nothing", "device", "model", "both"}
    assert changed(there, row(10 * shared, shared, width=width)).cause in {"nothing", "device"}
    assert changed(there, row(10 * own, 1.0, width=width)).cause in {"nothing", "model"}


def test_of_a_device_that_changed_one_line_speaks_for_all_its_rows() -> None:
    before = [row(10, run="r1"), row(20, run="r1", threads=1), row(5, run="r1", backend="tflite"), control(run="r1")]
    now = [row(13, 1.3, run="r2"), row(26, 1.3, run="r2", threads=1), row(7, run="r2", backend="tflite")]
    device, model = since(before, [], now)
    assert device.startswith("pi4, onnxruntime: since the last run 30.0 % slower")
    assert device.endswith("the device changed (so of 2 rows)")
    assert model.startswith("pi4, tflite, net: since run r1 40.0 % slower")
    assert since(before, [], before) == []
    assert since([], [], now) == []


def test_earlier_runs_tell_how_far_a_control_moves_by_itself() -> None:
    before, now = [row(10)], [row(11, 1.1)]
    moved = [control(median) for median in (1.0, 1.1, 0.9, 1.05)]
    assert len(moved) >= FEWEST_RUNS
    assert since(before, [], now)
    assert since(before, moved, now) == []
    assert since(before, moved[: FEWEST_RUNS - 1], now)
    others = [one.model_copy(update={"backend_version": "1.0"}) for one in moved]
    assert since(before, others, now), "those of another runtime say nothing"
