"""Rows as a pandas table, one flat column per figure."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results import journal
from results.judge.summary import rows as summarize
from results.records import Row

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    "run": "string",
    "started_at": "string",
    "device": "string",
    "model": "string",
    "family": "string",
    "backend": "string",
    "backend_version": "string",
    "precision": "string",
    "threads": "Int64",
    "options": "string",
    "verdict": "string",
    "reason": "string",
    "median_ms": "Float64",
    "ci95_low_ms": "Float64",
    "ci95_high_ms": "Float64",
    "spread_ms": "Float64",
    "p50_ms": "Float64",
    "p90_ms": "Float64",
    "p95_ms": "Float64",
    "p99_ms": "Float64",
    "p99_9_ms": "Float64",
    "verified": "boolean",
    "n_restarts": "Int64",
    "n_iterations": "Int64",
    "load_ms": "Float64",
    "first_ms": "Float64",
    "peak_rss_bytes": "Int64",
    "fallback": "string",
    "aggregates": "string",
    "accuracy_value": "Float64",
    "accuracy_metric": "string",
    "accuracy_dataset": "string",
    "accuracy_kind": "string",
    "accuracy_source": "string",
    "accuracy_recalled": "boolean",
    "weights": "string",
    "resolution": "Int64",
    "parameters": "Int64",
    "multiply_adds": "Int64",
    "artifact_sha256": "string",
    "artifact_format": "string",
    "actual": "string",
    "environment": "string",
    "case_id": "string",
    "device_id": "string",
    "fingerprint": "string",
}
"""Columns in their order, with pandas' nullable types: what is not known is <NA>. New columns go to the end of a group
and never change a name. `options`, `actual` and `environment` are JSON objects with sorted keys."""

_PERCENTILES = {"p50": "p50_ms", "p90": "p90_ms", "p95": "p95_ms", "p99": "p99_ms", "p99.9": "p99_9_ms"}
_ACCURACY = ("value", "metric", "dataset", "kind", "source", "recalled")


def read(path: Path | str) -> pd.DataFrame:
    """The results in a run's folder, or of every run in a workspace (the folder that has `runs/` in it).

    Warns of what is damaged in it. Raises ResultsError when a run cannot be read.
    """
    folder = Path(path)
    runs = folder / "runs"
    folders = sorted(runs.iterdir()) if runs.is_dir() else [folder]
    documents = [journal.read(found) for found in folders]
    for note in (note for document in documents for note in document.notes):
        warnings.warn(note, stacklevel=2)
    return to_frame([row for document in documents for row in summarize(document)])


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One line per row in the order given, with the columns and types of COLUMNS, also when there are no rows."""
    import pandas as pd

    lines = [flat(row) for row in rows]
    return pd.DataFrame(lines, columns=list(COLUMNS), dtype=object).astype(COLUMNS)


def flat(row: Row) -> dict[str, Any]:
    """The row as one plain dictionary with the keys of COLUMNS."""
    nested = {"options", "actual", "environment", "ci95_ms", "percentiles_ms", "accuracies"}
    line: dict[str, Any] = dict.fromkeys(COLUMNS) | row.model_dump(mode="json", exclude=nested)
    line["options"] = json.dumps(row.options, sort_keys=True)
    line["actual"] = json.dumps(row.model_dump(mode="json")["actual"], sort_keys=True)
    line["environment"] = json.dumps(row.environment, sort_keys=True)
    if row.ci95_ms is not None:
        line["ci95_low_ms"], line["ci95_high_ms"] = row.ci95_ms
    for key, column in _PERCENTILES.items():
        line[column] = row.percentiles_ms.get(key)
    if row.accuracy is not None:
        line |= {f"accuracy_{name}": getattr(row.accuracy, name) for name in _ACCURACY}
    return line
