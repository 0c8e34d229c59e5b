"""Rows as a pandas table, one flat column per figure."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from results import journal
from results.columns import COLUMNS, FRAME, OBSERVED, PERCENTILES, SUSTAINED
from results.errors import ResultsError
from results.judge.summary import rows as summarize
from results.records import Row

if TYPE_CHECKING:
    import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A text that begins with one of these is a formula to a spreadsheet, and an order to it when it comes from outside."""


def read(path: Path | str) -> pd.DataFrame:
    """The results in a run's folder, of every run in a workspace (it has `runs/` in it), or in a CSV that was exported.

    Warns of what is damaged in it. Raises ResultsError when they cannot be read.
    """
    folder = Path(path)
    if folder.suffix == ".csv" and folder.is_file():
        return _read_csv(folder)
    runs = folder / "runs"
    folders = sorted(runs.iterdir()) if runs.is_dir() else [folder]
    documents = [journal.read(found) for found in folders]
    for note in (note for document in documents for note in document.notes):
        warnings.warn(note, stacklevel=2)
    return to_frame([row for document in documents for row in summarize(document)])


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One line per row in the order given, with the columns and types of FRAME, also when there are no rows."""
    import pandas as pd

    lines = [flat(row) for row in rows]
    return pd.DataFrame(lines, columns=list(FRAME), dtype=object).astype(FRAME)


def flat(row: Row) -> dict[str, JsonValue]:
    """The row as one plain dictionary with the keys of FRAME."""
    held = row.model_dump(mode="json")
    line: dict[str, JsonValue] = {column.key: held[column.key] for column in COLUMNS if column.key in FRAME}
    line |= {key: json.dumps(value, sort_keys=True) for key, value in line.items() if isinstance(value, (dict, list))}
    line["ci95_low_ms"], line["ci95_high_ms"] = row.ci95_ms or (None, None)
    line["control_ci95_low_ms"], line["control_ci95_high_ms"] = row.control_ci95_ms or (None, None)
    line |= {name: row.percentiles_ms.get(key) for key, name in PERCENTILES.items()}
    line |= {name: row.observed_ms.get(key) for key, name in OBSERVED.items()}
    line |= {name: (held["sustained"] or {}).get(name.removeprefix("sustained_")) for name in SUSTAINED}
    first: dict[str, JsonValue] = next(iter(held["accuracies"]), {})
    interval = {"ci95": json.dumps(first["ci95"]) if first["ci95"] else None} if first else {}
    line |= {f"accuracy_{name}": value for name, value in (first | interval).items()}
    return line | dict(_flat_evaluation(held["evaluation"] or {}))


def _flat_evaluation(held: dict[str, JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    for name, value in held.items():
        if name.endswith("ci95"):
            low, high = value if isinstance(value, list) else (None, None)
            yield from ((f"evaluation_{name}_low", low), (f"evaluation_{name}_high", high))
        else:
            is_tree = isinstance(value, dict | list)
            yield f"evaluation_{name}", json.dumps(value, sort_keys=True) if is_tree else value


def inert(text: str) -> str:
    """The text as a CSV holds it: behind an apostrophe where a spreadsheet would take it for a formula.

    A text that begins with apostrophes before such a beginning gets one more, so that `live` gives back every text.
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA_STARTS) else text


def live(text: str) -> str:
    """The text that `inert` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA_STARTS) else text


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=FRAME, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as exc:
        raise ResultsError(f"{path} cannot be read as an export of bench: {exc}") from exc
    for name in (name for name, kind in FRAME.items() if kind == "string" and name in table):
        table[name] = table[name].map(live, na_action="ignore").astype("string")
    return table
