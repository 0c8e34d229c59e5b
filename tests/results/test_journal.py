"""What is on disk survives whatever interrupts the writing of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import journal
from results.errors import ResultsError
from results.journal import Journal
from results.records import SCHEMA_VERSION, RunDocument
from tests.results.factory import make_run


@pytest.fixture
def run() -> RunDocument:
    return make_run(2, 2, 2)


def written(folder: Path, run: RunDocument) -> Path:
    opened = Journal.create(folder, run.header)
    for restart in run.restarts:
        opened.add(restart)
    opened.close()
    return folder / journal.JOURNAL


def test_what_was_added_is_read_in_order(tmp_path: Path, run: RunDocument) -> None:
    written(tmp_path / "run", run)
    read = journal.read(tmp_path / "run")
    assert (read.header, read.restarts, read.finished_at) == (run.header, run.restarts, None)


def test_the_document_of_a_finished_run_is_the_truth(tmp_path: Path, run: RunDocument) -> None:
    written(tmp_path / "run", run)
    finished = run.model_copy(update={"finished_at": "2026-11-21T10:00:00+00:00"})
    path = journal.write_document(tmp_path / "run", finished)
    assert journal.read(tmp_path / "run") == finished
    path.write_bytes(b"{")
    assert journal.read(tmp_path / "run").restarts == run.restarts


def test_an_unfinished_document_gives_way_to_the_journal(tmp_path: Path, run: RunDocument) -> None:
    written(tmp_path / "run", run)
    journal.write_document(tmp_path / "run", RunDocument(header=run.header, restarts=()))
    assert journal.read(tmp_path / "run").restarts == run.restarts


@given(cut=st.floats(0, 1))
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    run = make_run(2, 1, 2)
    folder = tmp_path_factory.mktemp("cut") / "run"
    path = written(folder, run)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    kept = content[: header + int(cut * (len(content) - header))]
    path.write_bytes(kept)
    whole = kept.count(b"\n") - 1
    assert journal.read(folder).restarts == run.restarts[:whole]
    opened = Journal.reopen(folder)
    for restart in run.restarts[whole:]:
        opened.add(restart)
    opened.close()
    assert journal.read(folder).restarts == run.restarts


def test_a_damaged_line_is_told_with_its_place(tmp_path: Path, run: RunDocument) -> None:
    path = written(tmp_path / "run", run)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage, words in ((b'{"case_id": 3}', "case_id: "), (b"[" * 100_000, ": Invalid JSON")):
        path.write_bytes(lines[0] + lines[1] + damage + b"\n" + b"".join(lines[2:]))
        with pytest.raises(ResultsError, match=rf"journal\.jsonl:3 is damaged or no result of bench \({words}"):
            journal.read(tmp_path / "run")


def test_a_newer_schema_is_refused_in_words(tmp_path: Path, run: RunDocument) -> None:
    path = written(tmp_path / "run", run)
    first, _, rest = path.read_bytes().partition(b"\n")
    header = {**json.loads(first), "schema_version": SCHEMA_VERSION + 1, "something": "new"}
    path.write_bytes(json.dumps(header).encode() + b"\n" + rest)
    with pytest.raises(ResultsError, match=rf"schema version {SCHEMA_VERSION + 1}, this bench reads up to"):
        journal.read(tmp_path / "run")


def test_an_empty_journal_and_no_journal(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        journal.read(tmp_path)
    (tmp_path / journal.JOURNAL).touch()
    with pytest.raises(ResultsError, match="the run ended before it began"):
        journal.read(tmp_path)


def test_a_run_s_folder_is_never_taken_twice(tmp_path: Path, run: RunDocument) -> None:
    written(tmp_path / "run", run)
    with pytest.raises(ResultsError, match="cannot be started"):
        Journal.create(tmp_path / "run", run.header)
