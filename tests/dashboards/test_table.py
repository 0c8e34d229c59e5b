from __future__ import annotations

import io

import pytest
from rich.console import Console

from dashboards.table import print_table
from dashboards.wording import clean, milliseconds
from results.judge.summary import rows
from results.records import Accuracy, Row, Verdict
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
    assert "fewer than 5 restarts (least: 2)" in printed([make_row(n_restarts=2)])


def test_what_was_not_checked_is_said() -> None:
    assert "not checked" not in printed([make_row()])
    assert "1 of 2 rows was not checked, there being no reference: own" in printed(
        [make_row(), make_row("own", verified=False)]
    )


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
    assert "fewer than 5 restarts" not in text  # that is about intervals of single inferences
    plain = printed([make_row("plain", 7, 58)])
    assert "fell back" not in plain
    assert "aggregates" not in plain


def test_names_neither_style_nor_steer_the_terminal() -> None:
    failed = make_row("[red]x[/red]\x1b[2J\r\n", verdict=Verdict.FAILED, reason="\x1b]0;title\x07")
    text = printed([failed, make_row("unchecked\x1b[2J", verified=False)], terminal=False)
    assert "[red]x[/red]" in text
    assert "no reference: unchecked [2J" in text
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
