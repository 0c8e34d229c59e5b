"""Rows as CSV, Parquet or JSON, to a file or a stream."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from pydantic import JsonValue

from results.columns import FRAME
from results.errors import ResultsError
from results.files import write_file
from results.frame import flat, inert, to_frame
from results.records import Row

ROWS_SCHEMA_VERSION = 2


def write(rows: Sequence[Row], target: Path | str | IO[bytes], format: str) -> None:
    """Write the rows as `csv`, `parquet` or `json`.

    A file appears complete or not at all, and keeps its old content when writing fails.
    """
    render = FORMATS.get(format)
    if render is None:
        raise ResultsError(f"cannot export as {format!r}: known formats are {', '.join(sorted(FORMATS))}")
    content = render(rows)
    if isinstance(target, (str, Path)):
        write_file(Path(target), content)
    else:
        target.write(content)


def _csv(rows: Sequence[Row]) -> bytes:
    """RFC 4180 with a header line and \\n line ends; an empty field is an unknown value. No text is a formula."""
    lines: list[list[JsonValue]] = [[*FRAME], *([line.get(name) for name in FRAME] for line in map(flat, rows))]
    return "".join(",".join(map(_field, line)) + "\n" for line in lines).encode("utf-8")


def _field(value: JsonValue) -> str:
    text = "" if value is None else inert(value) if isinstance(value, str) else str(value)
    # A bare \r ends a line for spreadsheets, and what follows would be a cell of its own.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in '",\r\n') else text


def _parquet(rows: Sequence[Row]) -> bytes:
    buffer = io.BytesIO()
    to_frame(rows).to_parquet(buffer, index=False, engine="pyarrow", compression="zstd")
    return buffer.getvalue()


def _json(rows: Sequence[Row]) -> bytes:
    document = {"schema_version": ROWS_SCHEMA_VERSION, "rows": [row.model_dump(mode="json") for row in rows]}
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


FORMATS: dict[str, Callable[[Sequence[Row]], bytes]] = {"csv": _csv, "json": _json, "parquet": _parquet}
