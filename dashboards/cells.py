"""The columns of the page's table, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards import wording
from results.judge.pareto import Standing, standings
from results.records import Row, Verdict

COLUMNS: dict[str, bool] = {
    "Device": False,
    "Model": False,
    "Backend": False,
    "Precision": False,
    "Threads": True,
    "Verdict": False,
    "Median": True,
    "95 % interval": True,
    "p90": True,
    "Accuracy": True,
    "Standing": False,
    "Reason": False,
    "Notes": False,
    "Load": True,
    "First": True,
    "Peak MB": True,
    "Restarts": True,
    "Iterations": True,
    "Options": False,
    "Weights": False,
    "Accuracy source": False,
}
"""Column heads, and whether the column holds numbers."""

Cell = tuple[str, float | int | None]
"""Text as shown, and for columns of numbers the value to sort by."""


@dataclass(frozen=True)
class Line:
    cells: tuple[Cell, ...]
    on_frontier: bool
    valid: bool


def lines(rows: Sequence[Row]) -> list[Line]:
    """A line per row in the order given, with its standing among all of them."""
    found = standings(rows)
    return [
        Line(_cells(row, standing, rows), standing.on_frontier, row.verdict is Verdict.VALID)
        for row, standing in zip(rows, found, strict=True)
    ]


def _cells(row: Row, standing: Standing, rows: Sequence[Row]) -> tuple[Cell, ...]:
    width = None if row.ci95_ms is None else row.ci95_ms[1] - row.ci95_ms[0]
    return (
        (row.device, None),
        (row.model, None),
        (_backend(row), None),
        (row.precision, None),
        (str(row.threads), row.threads),
        (f"{row.verdict.value}, fell back" if row.fallback else row.verdict.value, None),
        (wording.median(row), row.median_ms),
        (wording.interval_of(row), width),
        _milliseconds(row.percentiles_ms.get("p90")),
        (wording.accuracy_mark(row.accuracy), row.accuracy.value if row.accuracy else None),
        (wording.standing_text(standing, rows), None),
        (row.reason, None),
        (wording.notes(row), None),
        _milliseconds(row.load_ms),
        _milliseconds(row.first_ms),
        (wording.megabytes(row.peak_rss_bytes), row.peak_rss_bytes),
        (str(row.n_restarts), row.n_restarts),
        (str(row.n_iterations), row.n_iterations),
        (", ".join(f"{key}={value}" for key, value in sorted(row.options.items())), None),
        (row.weights, None),
        (row.accuracy.source if row.accuracy else "", None),
    )


def _milliseconds(value: float | None) -> Cell:
    return wording.milliseconds(value), value


def _backend(row: Row) -> str:
    """The backend with its version: `openvino 2026.4.1`, `tflite (ai-edge-litert 2.3.0)`."""
    version = row.backend_version
    if not version:
        return row.backend
    return version if version.split()[0] == row.backend else f"{row.backend} ({version})"
