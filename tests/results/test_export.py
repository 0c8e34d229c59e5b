from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from results.columns import FRAME as COLUMNS
from results.errors import ResultsError
from results.export import FORMATS, write
from results.files import write_file
from results.frame import read, to_frame
from results.judge.summary import rows
from results.records import InputSpec, Row
from tests.results.factory import make_row, make_run

SPEC = InputSpec(name='a "b"', dtype="int64", shape=(8, 0), dims=("N", None), values="ones", made_up=("values",))
ROWS = [
    *rows(make_run(1, 7, 3)),
    make_row('näme, "quoted"\nover two lines', reason="a;b"),
    make_row(
        inputs=(SPEC, SPEC),
        batch=8,
        throughput_per_s=81.5,
        signature="encode",
        shapes_fixed="in a copy",
        snr_db=-3.5,
        top1_agreement=0.5,
        compute_precision="int8 + fp32",
        unverified="why",
        nonfinite="output y: 3 of 8 are NaN",
        notes=("one", "two"),
    ),
]


def test_json_round_trip(tmp_path: Path) -> None:
    write(ROWS, tmp_path / "rows.json", "json")
    document = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    assert document["schema_version"] == 2
    assert [Row.model_validate(row) for row in document["rows"]] == ROWS


def test_csv_round_trip(tmp_path: Path) -> None:
    write(ROWS, str(tmp_path / "rows.csv"), "csv")
    back = pd.read_csv(tmp_path / "rows.csv", dtype=COLUMNS)
    # A CSV has one kind of empty field, so empty words read back as missing.
    expected = to_frame(ROWS).replace({name: {"": pd.NA} for name, kind in COLUMNS.items() if kind == "string"})
    pd.testing.assert_frame_equal(back, expected)


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''-x", "'plain", "x=1", "", "NA", "ñ")


def test_no_text_of_a_csv_is_a_formula_and_all_come_back(tmp_path: Path) -> None:
    rows = [make_row(text, device=text, reason=text, options={text: text}) for text in FORMULAS]
    write(rows, tmp_path / "rows.csv", "csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        cells = [cell for line in csv.reader(stream) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    expected = to_frame(rows).replace({name: {"": pd.NA} for name, kind in COLUMNS.items() if kind == "string"})
    pd.testing.assert_frame_equal(read(tmp_path / "rows.csv"), expected)


def test_numbers_of_a_csv_stay_numbers(tmp_path: Path) -> None:
    write([make_row(top1=-70.5)], tmp_path / "rows.csv", "csv")
    assert read(tmp_path / "rows.csv").accuracy_value[0] == -70.5
    (tmp_path / "other.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ResultsError, match="cannot be read as an export"):
        read(tmp_path / "other.csv")


def test_parquet_round_trip(tmp_path: Path) -> None:
    write(ROWS, tmp_path / "rows.parquet", "parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "rows.parquet"), to_frame(ROWS))


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_streams_get_the_same_bytes_as_files(format: str, tmp_path: Path) -> None:
    write(ROWS, tmp_path / "file", format)
    stream = io.BytesIO()
    write(ROWS, stream, format)
    assert stream.getvalue() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_no_rows_are_written_too(format: str) -> None:
    stream = io.BytesIO()
    write([], stream, format)
    assert stream.getvalue()


def test_unknown_format_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"'xlsx'.*csv, json, parquet"):
        write(ROWS, tmp_path / "x", "xlsx")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ResultsError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResultsError, match="cannot write"):
        write_file(tmp_path / "file" / "below", b"")


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        write_file(tmp_path / "pipe", b"rows")
        assert os.read(reader, 100) == b"rows"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for content in (b"first", b"second"):
        write_file(tmp_path / "link", content)
        assert (tmp_path / "file").read_bytes() == content
    assert (tmp_path / "link").is_symlink()


def test_files_are_readable_by_others(tmp_path: Path) -> None:
    """A drafted file must not keep the private mode of temporary files: pages are served by other users."""
    (tmp_path / "plain").write_bytes(b"")
    write_file(tmp_path / "written", b"")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode
