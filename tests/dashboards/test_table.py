from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from dashboards.table import print_table
from dashboards.wording import clean, milliseconds
from results.judge.summary import rows
from results.records import Accuracy, InputSpec, Row, Verdict
from tests.results.factory import make_row, make_run


def printed(table: list[Row], width: int = 80, *, terminal: bool = True) -> str:
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=width, force_terminal=terminal, color_system=None))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_every_row_has_its_line_within_the_width(width: int) -> None:
    table = rows(make_run(2, 8, 3))
    lines = printed(table, width).splitlines()
    cells = [line for line in lines if any(line.split()[2:4].count(v.value) for v in Verdict)]
    tables = lines[: max(i for i, line in enumerate(lines) if line in cells) + 1]
    assert max(map(len, tables)) <= width
    assert len([line for line in tables if line.startswith(tuple(row.model for row in table))]) == len(table)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_no_figure_loses_a_digit_on_a_narrow_terminal(width: int) -> None:
    row = make_row(
        "mobilenet_v3", 0.0384625, 67.92, ci95_ms=(0.0308, 0.0464), verdict=Verdict.NOT_COMPARABLE, reason="r"
    )
    words = printed([row], width).split()
    assert {"not-comparable", "0.0385", "0.0308-0.0464", "67.92", "onnxrunt"} <= set(words)
    assert words.index("mobilene") < words.index("0.0385")


def test_a_pipe_gets_wide_lines_without_escapes() -> None:
    text = printed(rows(make_run(1, 8, 3)), terminal=False)
    assert "\x1b" not in text
    assert "Peak MB" in text


def test_reasons_are_printed_in_full() -> None:
    reason = "the output differs from the reference, " * 12
    text = printed([make_row("net", None, verdict=Verdict.FAILED, reason=reason)])
    assert f"failed pi4: net (onnxruntime, fp32, 4 threads): {reason}" in text.replace("\x1b[0m", "")


def test_of_a_very_long_reason_beginning_and_end_are_printed() -> None:
    reason = f"loading the model: {'places in sources, ' * 150}the operator Odd is unknown"
    text = printed([make_row("net", None, verdict=Verdict.FAILED, reason=reason)])
    line = next(line for line in text.splitlines() if line.startswith("failed"))
    assert "4 threads): loading the model: places in sources" in line
    assert line.endswith("the operator Odd is unknown")
    assert len(line) < 800


def spec(shape: tuple[int, ...], dims: tuple[int | str | None, ...] | None = None, **changes: Any) -> InputSpec:
    return InputSpec(**{"name": "x", "dtype": "float32", "shape": shape, "dims": dims} | changes)


def own(name: str, *inputs: InputSpec, **changes: Any) -> Row:
    return make_row(name, family=None, weights="own", inputs=inputs, **changes)


def test_shapes_have_a_column_where_they_differ_or_were_set() -> None:
    small, large = own("a", spec((1, 3, 8, 8))), own("b", spec((1, 3, 16, 16)), spec((2,)))
    lines = printed([small, large], 100).splitlines()
    assert next(line for line in lines if line.startswith("Model")).split()[1] == "Input"
    assert next(line for line in lines if line.startswith("b ")).split()[1] == "1x3x16x16,2"
    assert "Input" not in printed([small, own("c", spec((1, 8, 8, 3)))], 100)  # as another format has them
    assert "Input" in printed([own("a", spec((1, 3, 8, 8), ("N", 3, None, None)))], 100)
    assert "Input" not in printed([make_row("a"), make_row("b")], 100)


def test_throughput_stands_beside_latency_where_there_is_a_batch() -> None:
    rows = [own("a", batch=8, throughput_per_s=812.345), own("b", batch=1, throughput_per_s=101.0)]
    lines = printed(rows, 100).splitlines()
    assert "per s" in next(line for line in lines if line.startswith("Model"))
    assert "812" in next(line for line in lines if line.startswith("a ")).split()
    assert "per s" not in printed(rows[1:], 100)


def test_what_was_made_up_is_said_with_how_to_give_it() -> None:
    ids = spec((1, 128), ("N", 128), name="ids", dtype="int64", values="made up: ones", made_up=("values", "sizes"))
    row = own("bert", ids, spec((1,), name="a b", values="from feed.npz"))
    text = printed([row, row.model_copy(update={"device": "pi5"})], 300)
    line = (
        "made up bert: values of ids (ones, int64 1x128); sizes of ids ([N, 128] as 1x128). "
        "To give them: --input ids=… --input-shape ids=…"
    )
    assert text.splitlines().count(line) == 1
    many = [spec((1,), name=f"past.{number}", made_up=("values",)) for number in range(48)]
    assert "42 more. To give them: --input past.0=…" in printed([own("m", *many)], 2000)
    assert "made up" not in printed([own("m", spec((1,)))], 300)
    nameless = [spec((1,), name=name, made_up=("values",)) for name in ("", "x", "x", "y z")]
    assert "To give them: --input 0=… --input 1=… --input 2=… --input 'y z'=…" in printed([own("m", *nameless)], 300)


def test_signature_copy_notes_and_what_is_not_finite_are_said() -> None:
    row = own("m", signature="encode", shapes_fixed="in a copy", notes=("4 threads on 1 core: they take turns",))
    text = printed([row.model_copy(update={"nonfinite": "scores: 12 of 40 are NaN"})], 300)
    assert "signature m: encode ran; --signature chooses another" in text
    assert "copy m: a copy of the file with its sizes written into it was measured" in text
    assert "note pi4: m (onnxruntime, fp32, 4 threads): 4 threads on 1 core: they take turns" in text
    assert "1 of 1 rows holds numbers that are none: m (scores: 12 of 40 are NaN)" in text


def test_values_and_marks() -> None:
    text = printed([make_row("fast", 5, 60), make_row("slow", 6, 59, kind="published"), make_row("bare", 7, None)], 160)
    fast, slow, bare = (
        next(line for line in text.splitlines() if line.startswith(n)) for n in ("fast", "slow", "bare")
    )
    assert fast.split() == ["fast", "valid", "5.00", "4.95-5.05", "5.50", "60", "p", "F", "40.0", "15.0", "94.4"]
    assert "F" not in slow.split()
    assert bare.split()[5:] == ["-", "40.0", "15.0", "94.4"]
    assert "pi4, backend onnxruntime, precision fp32, threads 4" in text
    assert "p published for trained weights" in text
    assert "random weights" in text


def both(name: str, median: float, published: float, measured: float) -> Row:
    row = make_row(name, median, published)
    own = Accuracy(value=measured, kind="measured", source="bench")
    return row.model_copy(update={"accuracies": (*row.accuracies, own)})


def test_accuracies_stand_side_by_side_each_with_its_frontier() -> None:
    rows = [both("fast", 5, 60, 50), both("slow", 9, 70, 48), make_row("other", 5, 65)]
    lines = printed(rows, 160).splitlines()
    ends = {name: next(line for line in lines if line.startswith(name)).split()[5:-3] for name in ("fast", "slow")}
    assert ends == {"fast": ["60", "p", "50", "m", "Fm"], "slow": ["70", "p", "48", "m", "Fp"]}
    assert "p published for trained weights, m measured on the artifact" in printed(rows)


def test_two_boards_under_one_name_are_said() -> None:
    rows = [make_row("a", device_id="one"), make_row("b", device_id="two"), make_row("c", device_id=None)]
    assert "pi4 was 2 boards in turn (one, two)" in printed(rows, 160)
    assert "boards" not in printed(rows[1:], 160)


def test_few_restarts_are_said() -> None:
    assert "fewer than 3 restarts (least: 2)" in printed([make_row(n_restarts=2)])


def test_what_was_not_checked_is_said() -> None:
    assert "not checked" not in printed([make_row()])
    rows = [make_row(), make_row("own", verified=False), make_row("mine", verified=False, unverified="y differs.")]
    words = "2 of 3 rows was not checked: own (there is no reference to compare with); mine (y differs)."
    assert words in printed(rows)


def test_what_fell_back_and_aggregates_are_marked_and_explained() -> None:
    fallen = make_row("fallen", 5, 60, fallback="3 of 7 nodes ran on CPUExecutionProvider")
    told = make_row("told", 6, 59, aggregates="each restart is the median that the tool told", n_restarts=2)
    text = printed([fallen, told, make_row("plain", 7, 58)], 160)
    lines = {name: next(line for line in text.splitlines() if line.startswith(name)) for name in ("fallen", "told")}
    assert lines["fallen"].split()[1:4] == ["valid", "!", "5.00"]
    assert lines["told"].split()[1:4] == ["valid", "6.00", "a"]
    assert "fell back pi4: fallen (onnxruntime, fp32, 4 threads): 3 of 7 nodes ran on CPUExecutionProvider" in text
    assert "! marks 1 of 3 rows that fell back" in text
    assert "a marks 1 of 3 rows that hold aggregates only" in text
    assert "fewer than 3 restarts" not in text  # that is about intervals of single inferences
    plain = printed([make_row("plain", 7, 58)])
    assert "fell back" not in plain
    assert "aggregates" not in plain


def test_names_neither_style_nor_steer_the_terminal() -> None:
    failed = make_row("[red]x[/red]\x1b[2J\r\n", verdict=Verdict.FAILED, reason="\x1b]0;title\x07")
    text = printed([failed, make_row("unchecked\x1b[2J", verified=False)], terminal=False)
    assert "[red]x[/red]" in text
    assert "not checked: unchecked [2J" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert clean("a\x00b\u202ec") == "a b c"


def test_no_rows() -> None:
    assert printed([])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.01234, "0.0123"), (4.5, "4.50"), (99.96, "100"), (123.4, "123"), (45678.9, "45679")],
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_the_control_stands_in_a_line_below_the_table() -> None:
    controls = [
        make_row("bench:control", 1.23, None, control=True, ci95_ms=(1.22, 1.24)),
        make_row(
            "bench:control", None, None, control=True, backend="tflite", verdict=Verdict.FAILED, reason="no\x1b[2J"
        ),
    ]
    text = printed([make_row("net"), *controls], 160)
    assert "control: onnxruntime 1.23 ms (1.22-1.24), tflite failed (no" in text
    assert "bench:control" not in text
    assert "\x1b[2J" not in text
    other = controls[0].model_copy(update={"device": "laptop"})
    assert "control pi4: onnxruntime 1.23" in printed([make_row("net"), *controls, other], 160)
