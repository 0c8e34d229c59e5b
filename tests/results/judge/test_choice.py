from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from results.judge.choice import marked
from results.judge.twins import compared
from results.records import Evaluated, Quality, Row, Verdict
from tests.results.factory import make_row


def evaluated(value: float, loss: float | None, noise: float) -> Evaluated:
    return Evaluated(
        dataset="d",
        dataset_sha256="0" * 64,
        metric="top-1 %",
        value=value,
        samples=10_000,
        total=10_000,
        loss=loss,
        loss_ci95=None if loss is None else (loss - noise, loss + noise),
    )


def row(
    precision: str, median: float, value: float | None = None, snr_db: float | None = None, **changes: object
) -> Row:
    method = {"fp32": "", "int8": "static", "bf16": "hint"}[precision]
    quality = None if snr_db is None else Quality(runtime="tflite", samples=32, snr_db=snr_db)
    evaluation = None if value is None else evaluated(value, None if precision == "fp32" else 91.0 - value, 0.71)
    values = {"method": method, "quality": quality, "evaluation": evaluation} | changes
    return make_row("m", median, None, precision=precision, **values)


def taken(rows: list[Row], max_loss: float | None = 1.0) -> list[str]:
    return [found.chosen for found in marked(compared(rows), max_loss)]


def test_without_a_bound_nothing_is_chosen() -> None:
    assert taken([row("fp32", 10, 91), row("int8", 5, 91)], None) == ["", ""]


def test_the_fastest_that_loses_little_enough() -> None:
    rows = [row("fp32", 10, 91.0), row("int8", 5, 90.7), row("bf16", 8, 91.0)]
    assert taken(rows) == [
        "",
        "auto: int8 (static), 2.00 times as fast as fp32, "
        "loses 0.3 percentage points (95 %: -0.41 to 1), perhaps more than 1",
        "",
    ]


def test_what_loses_too_much_is_passed_over_and_named() -> None:
    rows = [row("fp32", 10, 91.0), row("int8", 5, 88.0), row("bf16", 8, 91.0)]
    assert taken(rows)[2] == (
        "auto: bf16 (hint), 1.25 times as fast as fp32, loses 0 percentage points (95 %: -0.71 to 0.71); "
        "int8 (static) loses 3 percentage points (95 %: 2.3 to 3.7), more than 1"
    )
    assert taken(rows, 3.0)[1].startswith("auto: int8 (static)")


def test_fp32_is_the_answer_where_all_others_are_slower() -> None:
    rows = [row("fp32", 10, 91.0), row("int8", 30, 91.0), row("bf16", 10.05, 91.0)]
    assert taken(rows) == [
        "auto: fp32; bf16 (hint) is as fast but for noise; int8 (static) is slower, 0.33 times as fast as fp32",
        "",
        "",
    ]


def test_without_accuracies_the_outputs_count() -> None:
    fp32 = row("fp32", 10)
    assert taken([fp32, row("int8", 5, snr_db=23)])[1] == (
        "auto: int8 (static), 2.00 times as fast as fp32, is 23.0 dB from fp32 in its outputs, accuracy not measured"
    )
    assert "int8 (static) is 9.0 dB from fp32" in taken([fp32, row("int8", 5, snr_db=9)])[0]
    assert taken([fp32, row("int8", 5)])[0] == (
        "auto: fp32; int8 (static) was held against fp32 neither by its accuracy nor by its outputs"
    )


def test_an_accuracy_that_was_held_against_no_fp32_is_no_loss() -> None:
    fp32, alone = row("fp32", 10), row("int8", 5, snr_db=9, evaluation=evaluated(91.0, None, 0))
    assert taken([fp32, alone])[0].startswith("auto: fp32; int8 (static) is 9.0 dB from fp32 in its outputs")


def test_only_sound_rows_are_chosen_and_each_runtime_has_its_own() -> None:
    lost = row("int8", 5, snr_db=20, verdict=Verdict.FAILED, reason="no memory")
    assert taken([row("fp32", 10), lost])[0] == "auto: fp32"
    unstable = {"verdict": Verdict.UNSTABLE, "reason": "2 of 5 restarts"}
    assert (
        taken([row("fp32", 10, **unstable), row("int8", 30, snr_db=20)])[0]
        == "auto: fp32 (unstable); int8 (static) is slower"
    )
    assert taken([row("fp32", 10), row("int8", 5, snr_db=20, verified=False)])[0] == "auto: fp32"
    pair = [row("fp32", 10, backend=name) for name in ("tflite", "openvino")]
    assert taken(pair) == ["auto: fp32", "auto: fp32"]
    assert taken([row("int8", 5, snr_db=20)]) == [
        "auto: int8 (static), is 20.0 dB from fp32 in its outputs, accuracy not measured"
    ]


@given(st.lists(st.tuples(st.floats(1, 30), st.floats(80, 95)), min_size=1, max_size=4), st.floats(0, 5))
def test_nothing_that_may_be_chosen_is_faster(others: list[tuple[float, float]], max_loss: float) -> None:
    rows = [row("fp32", 10, 91.0)]
    for number, (ms, value) in enumerate(others):
        rows.append(row("int8", ms, value).model_copy(update={"case_id": f"{number:016x}"}))
    found = marked(compared(rows), max_loss)
    (best,) = [one for one in found if one.chosen]
    allowed = [one.median_ms for one in rows if (one.evaluation.loss or 0) <= max_loss]
    assert best.median_ms == min(allowed)
