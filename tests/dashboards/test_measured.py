"""Measured accuracies in the terminal and on the page."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from dashboards import measured
from dashboards.page import render
from dashboards.table import print_table
from results.judge.summary import rows
from results.records import Accuracy, Case, ModelFacts, Restart, Row
from tests.results.evaluations import evaluated_document, make_dataset, make_lost_part, make_parts, make_scores
from tests.results.factory import STANDARD, make_case, make_restart, make_row

DATA = make_dataset(1000, classes=("<b>bag</b>", "coat", "dress", "shirt", "shoe", "top"))
REFERENCE = Accuracy(value=99.8, dataset="fashion-mnist test", kind="published", source="PyTorch", samples=1000)


@pytest.fixture(scope="module")
def table() -> list[Row]:
    """A model in fp32, in int8 that has lost much, and in fp16, of which a part was lost."""
    cases = [
        make_case(dataset=DATA.sha256, precision=precision, method=method)
        for precision, method in (("fp32", ""), ("int8", "qdq"), ("fp16", ""))
    ]
    parts = [
        *make_parts(cases[0], DATA, make_scores(DATA, [1])),
        *make_parts(cases[1], DATA, make_scores(DATA, range(0, 300, 6))),
        *make_parts(cases[2], DATA, make_scores(DATA, [1, 2]))[:3],
        make_lost_part(cases[2], DATA, first=192),
    ]
    model = ModelFacts(
        name="mobilenet_v2", weights="fashion-mnist", accuracies=(REFERENCE,), reference=REFERENCE, threshold=2.0
    )
    restarts = [restart for case, ms in zip(cases, (20, 12, 25), strict=True) for restart in _restarts(case, ms)]
    return rows(evaluated_document(cases, DATA, parts, restarts=restarts, profile=STANDARD, models=(model,)))


def _restarts(case: Case, median_ms: float) -> list[Restart]:
    return [make_restart(case, number, median_ms=median_ms) for number in range(5)]


def printed(table: list[Row], *, colors: bool = False) -> str:
    stream = io.StringIO()
    system = "standard" if colors else None
    print_table(table, Console(file=stream, width=160, force_terminal=True, color_system=system))
    return stream.getvalue()


def test_the_terminal_shows_what_was_measured_with_its_interval(table: list[Row]) -> None:
    text = printed(table)
    assert re.search(r"fp32 .* 99\.8 p 99\.90 ±0\.27 m ", text)
    assert re.search(r"int8 +qdq .* 95\.00 ±1\.4 m +-4\.90", text)
    assert "m measured on the artifact" in text
    assert "top-1 %, fashion-mnist test, 192 of 1000" in text


def test_the_terminal_says_what_is_too_inaccurate_and_what_was_not_evaluated(table: list[Row]) -> None:
    text = printed(table)
    said = "95 top-1 % on fashion-mnist test is 4.8 points below the reference of 99.8, and 2 are allowed"
    assert f"too inaccurate pi4: mobilenet_v2 (onnxruntime, int8 qdq, 4 threads): {said}" in text
    assert "not evaluated pi4: mobilenet_v2 (onnxruntime, fp16, 4 threads): 192 of 1000 samples: exit code 137" in text
    assert "1 of 3 rows are less accurate than their reference allows: mobilenet_v2." in text
    assert re.search(r"\x1b\[31m95\.00 ±1\.4 m", printed(table, colors=True))


def test_a_difference_that_may_be_chance_stands_in_brackets(table: list[Row]) -> None:
    assert [measured.against_fp32(row) for row in table] == ["", "-4.90", "(-0.52)"]
    assert measured.against_fp32(make_row()) == ""


def test_the_page_shows_an_evaluation_in_detail(table: list[Row]) -> None:
    page = render(table)
    assert '<td class="number failed" title="95 top-1 %' in page
    assert page.count('class="number failed"') == 1
    cell = re.search(r"<details><summary>same as fp32 94.90 %; worst class &lt;b&gt;bag&lt;/b&gt;.*?</details>", page)
    assert cell is not None
    assert "<li>95 top-1 % (95 %: 93.47-96.19) on 1000 of 1000 samples</li>" in cell[0]
    assert "<b>" not in cell[0]
    assert "against fp32 -4.90 points" in cell[0]
    assert cell[0].count("<tr>") == 1 + len(DATA.classes)
    assert "Points vs fp32" in page


def test_accuracy_alone_has_no_columns_of_a_latency() -> None:
    case = make_case(dataset=DATA.sha256)
    table = rows(evaluated_document([case], DATA, make_parts(case, DATA, make_scores(DATA))))
    text, page = printed(table), render(table)
    assert "100.00 ±0.19 m" in text
    for head in (" ms ", "p90", "Load", "Peak MB"):
        assert head not in text.split("\n\n")[0]
    assert ">Median<" not in page


def test_data_sets_of_one_name_are_told_apart(table: list[Row]) -> None:
    assert not any("different data sets" in notice for notice in measured.notices(table))
    other = table[0].evaluation
    assert other is not None
    again = table[0].model_copy(update={"evaluation": other.model_copy(update={"truth": "0" * 16})})
    assert any("2 different data sets" in notice for notice in measured.notices([table[0], again]))


def test_without_evaluations_nothing_is_said_of_them() -> None:
    page, text = render([make_row()]), printed([make_row()])
    assert "vs fp32" not in page + text
    assert "Accuracy in detail" not in page
    assert "±" not in text
