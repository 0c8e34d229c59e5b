"""The index holds nothing of its own: it gives back the rows, and can be made again."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from results.errors import ResultsError
from results.judge.summary import rows
from results.records import RunDocument
from results.store import Store
from tests.results.factory import make_run


def renamed(run: RunDocument, name: str, started: str) -> RunDocument:
    header = run.header.model_copy(update={"run_id": name, "started_at": started})
    return run.model_copy(update={"header": header})


@pytest.fixture
def runs() -> list[RunDocument]:
    return [renamed(make_run(2, 2, 2), "first", "2026-01-01"), renamed(make_run(2, 2, 2), "second", "2026-01-02")]


def test_rows_come_back_as_they_were(tmp_path: Path, runs: list[RunDocument]) -> None:
    store = Store(tmp_path / "index.sqlite")
    for run in reversed(runs):
        store.add(run)
    assert store.runs() == ["first", "second"]
    assert store.rows() == [*rows(runs[0]), *rows(runs[1])]
    assert store.rows(run="second") == rows(runs[1])
    store.close()


def test_adding_again_replaces(tmp_path: Path, runs: list[RunDocument]) -> None:
    store = Store(tmp_path / "index.sqlite")
    store.add(runs[0])
    store.add(runs[0])
    assert store.rows() == rows(runs[0])
    store.close()


def test_latest_is_the_newest_of_every_case(tmp_path: Path, runs: list[RunDocument]) -> None:
    store = Store(tmp_path / "index.sqlite")
    store.rebuild(runs)
    assert store.latest() == rows(runs[1])
    store.close()


def test_filters(tmp_path: Path, runs: list[RunDocument]) -> None:
    store = Store(tmp_path / "index.sqlite")
    store.add(runs[0])
    every = rows(runs[0])
    some = every[0]
    assert store.rows(model=some.model) == [row for row in every if row.model == some.model]
    assert store.rows(device=some.device) == [row for row in every if row.device == some.device]
    for rows_of in (store.rows, store.latest):
        assert rows_of(device=f"{some.device[:2]}*", model="*") == [row for row in every if row.device == some.device]
        assert rows_of(model="nothing*") == rows_of(device="nothing*") == []
    store.close()


def test_an_index_of_another_version_is_made_anew(tmp_path: Path, runs: list[RunDocument]) -> None:
    path = tmp_path / "index.sqlite"
    store = Store(path)
    store.add(runs[0])
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = Store(path)
    assert store.runs() == []
    store.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"not a database, though it is long enough to be one" * 100)
    with pytest.raises(ResultsError, match="bench results reindex"):
        Store(path)


def test_two_writers_at_once(tmp_path: Path) -> None:
    Store(tmp_path / "index.sqlite").close()

    def write(number: int) -> None:
        store = Store(tmp_path / "index.sqlite")
        store.add(renamed(make_run(1, 1, 1), f"run-{number}", f"2026-01-0{number}"))
        store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(1, 9)))
    store = Store(tmp_path / "index.sqlite")
    assert len(store.runs()) == 8
    store.close()
