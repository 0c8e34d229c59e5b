"""One list of columns: the record, the documentation and whatever shows rows agree with it."""

from __future__ import annotations

import re

from results.columns import COLUMNS, FRAME
from results.records import Accuracy, Evaluated, Row
from tests.rigs.bench import ROOT


def test_every_field_of_a_row_is_in_the_list_and_nothing_else() -> None:
    stored = [column.key for column in COLUMNS if column.json]
    assert sorted(stored) == sorted(Row.model_fields)


def test_the_documentation_has_the_list_line_by_line() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    table = text[text.index("A result row:") :].split("\n\n")[1].splitlines()[2:]
    wanted = [f"| `{c.key}` | {c.json} | {c.means}" for c in COLUMNS if c.json]
    assert len(table) == len(wanted)
    for line, begin in zip(table, wanted, strict=True):
        assert re.fullmatch(re.escape(begin) + r"(; see \[.+\]\(.+\))? \|", line), line


def test_the_documentation_names_every_column_of_an_export() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert [name for name in FRAME if f"`{name}`" not in text] == []


def test_an_evaluation_is_flat_as_a_whole() -> None:
    flat = {name for name in FRAME if name.startswith("evaluation_")}
    assert {name.removesuffix("_low").removesuffix("_high") for name in flat} == {
        f"evaluation_{name}" for name in Evaluated.model_fields
    }


def test_an_accuracy_is_flat_as_a_whole() -> None:
    assert {f"accuracy_{name}" for name in Accuracy.model_fields} <= set(FRAME)
