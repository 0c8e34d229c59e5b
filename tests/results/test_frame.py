from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from results import journal
from results.columns import FRAME as COLUMNS
from results.errors import ResultsError
from results.frame import read, to_frame
from results.judge.summary import rows
from results.records import Row, Verdict
from tests.results.evaluations import evaluated_document, make_dataset, make_parts, make_scores
from tests.results.factory import make_case, make_row, make_run


def test_columns_and_types_do_not_depend_on_the_rows() -> None:
    some, none = to_frame(rows(make_run(1, 3, 3))), to_frame([])
    assert list(some.columns) == list(none.columns) == list(COLUMNS)
    assert [str(kind) for kind in some.dtypes] == [str(kind) for kind in none.dtypes] == list(COLUMNS.values())


def test_every_field_of_a_row_has_its_column() -> None:
    nested = {"ci95_ms", "control_ci95_ms", "percentiles_ms", "observed_ms", "sustained", "accuracies", "evaluation"}
    assert set(Row.model_fields) - nested <= set(COLUMNS)


def test_values() -> None:
    row = make_row(
        median=20.0, options={"b": "2", "a": "1"}, percentiles_ms={"p50": 20.0, "p99.9": 31.0}, actual={"x": [1]}
    )
    line = to_frame([row]).iloc[0]
    assert (line.median_ms, line.ci95_low_ms, line.ci95_high_ms) == (20, 19.8, 20.2)
    assert (line.p50_ms, line.p99_9_ms) == (20, 31)
    assert line.p90_ms is pd.NA
    assert (line.accuracy_value, line.accuracy_kind, line.accuracy_recalled) == (70, "published", False)
    assert line.options == '{"a": "1", "b": "2"}'
    assert json.loads(line.actual) == {"x": [1]}


def test_an_evaluation_has_a_column_a_figure() -> None:
    facts = make_dataset()
    case = make_case(dataset=facts.sha256)
    document = evaluated_document([case], facts, make_parts(case, facts, make_scores(facts, [0])))
    line = to_frame(rows(document)).iloc[0]
    assert (line.evaluation_value, line.evaluation_samples, line.evaluation_dataset) == (99.5, 200, "fashion-mnist")
    assert line.evaluation_ci95_low < 99.5 < line.evaluation_ci95_high
    assert json.loads(line.evaluation_per_class)["T-shirt"] == 95
    assert line.evaluation_loss_ci95_low is pd.NA
    assert json.loads(line.asked) == ["accuracy"]


def test_what_is_not_known_is_missing() -> None:
    line = to_frame([make_row(median=None, top1=None, verdict=Verdict.FAILED, reason="gone")]).iloc[0]
    assert line.verdict == "failed"
    assert line[["median_ms", "ci95_low_ms", "p50_ms", "accuracy_value", "accuracy_recalled"]].isna().all()


def test_rows_stay_in_order() -> None:
    table = rows(make_run(2, 3, 2))
    assert list(to_frame(table).case_id) == [row.case_id for row in table]


def test_read_takes_a_run_or_a_workspace(tmp_path: Path) -> None:
    folders = [tmp_path / "runs" / name for name in ("a", "b")]
    runs = [
        run.model_copy(update={"header": run.header.model_copy(update={"run_id": folder.name})})
        for folder, run in zip(folders, (make_run(2, 1, 1), make_run(1, 1, 1)), strict=True)
    ]
    for folder, document in zip(folders, runs, strict=True):
        folder.mkdir(parents=True)
        journal.write_document(folder, document)
    assert list(read(folders[0]).model) == [row.model for row in rows(runs[0])]
    assert len(read(tmp_path)) == sum(len(rows(run)) for run in runs)
    with pytest.raises(ResultsError, match="cannot be read"):
        read(tmp_path / "runs" / "c")
    journal.Journal.create(folders[1].with_name("c"), runs[0].header.model_copy(update={"run_id": "c"})).close()
    (folders[1].with_name("c") / journal.DOCUMENT).write_bytes(b"{")
    with pytest.warns(UserWarning, match="the run's journals were read instead"):
        assert len(read(folders[1].with_name("c"))) == len(rows(runs[0]))
