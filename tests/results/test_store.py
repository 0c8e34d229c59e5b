"""The index holds nothing of its own: it gives back the rows, and can be made again."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from results.errors import ResultsError
from results.judge import measurement
from results.judge.summary import rows
from results.records import DatasetFacts, Row, RunDocument, Verdict
from results.runs import in_order
from results.store import Store
from tests.results.evaluations import evaluated_document, make_dataset, make_parts, make_scores
from tests.results.factory import make_case, make_document, make_restart, make_run


def renamed(run: RunDocument, name: str, started: str) -> RunDocument:
    header = run.header.model_copy(update={"run_id": name, "started_at": started})
    return run.model_copy(update={"header": header})


@pytest.fixture
def runs() -> list[RunDocument]:
    return [renamed(make_run(2, 2, 2), "first", "2026-01-01"), renamed(make_run(2, 2, 2), "second", "2026-01-02")]


def opened(path: Path, runs: list[RunDocument]) -> list[Row]:
    """The latest rows of an index that is opened for these runs."""
    documents = {run.header.run_id: run for run in runs}
    with closing(Store(path)) as store:
        store.update(dict.fromkeys(documents, "as it was"), documents.get)
        return store.latest()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_rows_come_back_as_they_were(tmp_path: Path, runs: list[RunDocument]) -> None:
    store = Store(tmp_path / "index.sqlite")
    for run in runs:
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
    store.update({"first": "", "second": ""}, {run.header.run_id: run for run in runs}.get)
    assert store.latest() == rows(runs[1])
    store.close()


def test_latency_and_accuracy_of_different_runs_are_one_row(tmp_path: Path) -> None:
    facts = make_dataset()
    case = make_case(dataset=facts.sha256)
    timed, bare = make_case(), make_case(model="squeezenet1_1", dataset=facts.sha256)
    timed = timed.model_copy(update={"case_id": case.case_id})

    def measured(name: str, *wrong: int) -> RunDocument:
        parts = [part for one in (case, bare) for part in make_parts(one, facts, make_scores(facts, wrong))]
        return evaluated_document([case, bare], facts, parts, run_id=name)

    def latency(name: str, median_ms: float) -> RunDocument:
        restarts = [make_restart(timed, number, median_ms=median_ms) for number in range(5)]
        return make_document([timed], restarts, run_id=name)

    def latest(*documents: RunDocument) -> list[Row]:
        with closing(Store(tmp_path / f"{'-'.join(d.header.run_id for d in documents)}.sqlite")) as store:
            for document in documents:
                store.add(document)
            return store.latest()

    runs = [latency("a", 10), measured("b", 0), measured("c", 0, 1), latency("d", 20)]
    other, row = latest(*runs)
    assert (other.model, other.run, other.median_ms) == ("squeezenet1_1", "c", None)
    assert (row.run, row.asked, row.verdict) == ("d", ("latency", "accuracy"), Verdict.VALID)
    assert row.median_ms == rows(runs[3])[0].median_ms
    assert row.evaluation == rows(runs[2])[0].evaluation
    assert [accuracy.value for accuracy in row.accuracies] == [99.0]
    assert row.notes == ("its accuracy was measured in run c",)
    assert [row.run for row in latest(runs[0], runs[1])] == ["a", "b"], "the other way round it is the same"
    assert latest(runs[1], runs[2]) == rows(runs[2])


def test_an_accuracy_on_fewer_samples_does_not_hide_one_on_more(tmp_path: Path) -> None:
    whole, some = make_dataset(1000), make_dataset(200, total=1000)
    case = make_case(dataset=whole.sha256)
    shared = case.model_copy(update={"dataset": some.sha256})

    def run(name: str, facts: DatasetFacts, version: str) -> RunDocument:
        own = case if facts is whole else shared
        parts = make_parts(own, facts, make_scores(facts), agent={"backend_version": version})
        return evaluated_document([own], facts, parts, run_id=name)

    documents = [run("full", whole, "1"), run("quick", some, "1"), run("newer", some, "2")]
    store = Store(tmp_path / "index.sqlite")
    seen = []
    for document in documents:
        store.add(document)
        seen += [(row.run, row.evaluation.samples) for row in store.latest() if row.evaluation is not None]
    assert seen == [("full", 1000), ("full", 1000), ("newer", 200)]
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


def test_an_index_made_by_other_rules_is_made_anew(tmp_path: Path, runs: list[RunDocument]) -> None:
    path = tmp_path / "index.sqlite"
    with closing(Store(path)) as store:
        store.add(runs[0])
    change(path, "UPDATE version SET version = 'of another bench'")
    assert opened(path, runs[:1]) == rows(runs[0])


def test_other_rules_show_in_the_index_too(
    tmp_path: Path, runs: list[RunDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.sqlite"
    before = opened(path, runs[:1])
    monkeypatch.setattr(measurement, "CHECKS", [lambda _: (Verdict.UNSTABLE, "by a new rule")])
    monkeypatch.setattr("results.store._version", lambda: "the hash of the new sources")
    assert opened(path, runs[:1]) == rows(runs[0]) != before


@pytest.mark.parametrize(
    "content", [b"not a database, though it is long enough to be one" * 100, b"short", b"\0" * 9999]
)
def test_a_file_that_is_no_database(
    content: bytes, tmp_path: Path, runs: list[RunDocument], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "results")  # whatever a library has set at the root
    path = tmp_path / "index.sqlite"
    path.write_bytes(content)
    assert opened(path, runs[:1]) == rows(runs[0])
    assert "it is made anew from the runs' documents" in caplog.text


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE results SET row = replace(row, 'fp32', 'int8')",
        "UPDATE results SET device = 'another' WHERE position = 1",
        "DELETE FROM results WHERE position = 2",
        "DELETE FROM runs WHERE run = 'second'",
        "UPDATE runs SET number = 3 - number",
        "UPDATE runs SET stamp = 7",
        "DROP TABLE results",
        "ALTER TABLE results RENAME COLUMN device TO machine",
    ],
)
def test_rows_are_those_of_the_documents(statement: str, tmp_path: Path, runs: list[RunDocument]) -> None:
    path = tmp_path / "index.sqlite"
    opened(path, runs)
    change(path, statement)
    assert opened(path, runs) == rows(runs[1])


def test_flipped_bits(tmp_path: Path) -> None:
    """Each in a whole index: no error, and the rows are those of the documents, read and written."""
    rng, path = random.Random(20261128), tmp_path / "index.sqlite"
    runs = [renamed(make_run(2, 2, 2, seed, 2, 20), f"run-{seed}", "2026-01-01") for seed in range(3)]
    expected, more = rows(runs[1]), rows(runs[2])
    opened(path, runs[:2])
    whole = path.read_bytes()
    for number in range(250):
        flipped = bytearray(whole)
        bit = rng.randrange(8 * (len(whole) if number % 4 else 100))  # a quarter of them in the file's header
        flipped[bit // 8] ^= 1 << bit % 8
        Store.remove(path)
        path.write_bytes(flipped)
        assert opened(path, runs[:2]) == expected, bit
        if number % 4 == 0:
            assert opened(path, runs) == more, bit


def test_a_locked_index_is_told_as_locked(tmp_path: Path, runs: list[RunDocument]) -> None:
    path = tmp_path / "index.sqlite"
    opened(path, runs)
    with closing(sqlite3.connect(path)) as other, closing(Store(path, patience_s=0.1)) as store:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResultsError, match="locked by another process") as told:
            store.add(runs[0])
        assert "delete" not in str(told.value)
        assert store.latest() == rows(runs[1])  # reading goes on meanwhile
        other.rollback()
        store.add(runs[0])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a small file system")
def test_a_full_disk_is_told_as_such(tmp_path: Path, runs: list[RunDocument]) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(ResultsError, match="Make room there"):
            opened(tmp_path / "index.sqlite", [renamed(runs[0], f"run-{n}", "2026-01-01") for n in range(20)])
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_what_is_no_file(tmp_path: Path) -> None:
    for make in (Path.mkdir, os.mkfifo):
        path = tmp_path / f"{make.__name__}.sqlite"
        make(path)
        with pytest.raises(ResultsError, match="is no file"):
            Store(path)


def test_a_lock_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database" * 100)
    for make in (Path.mkdir, os.mkfifo):
        make(tmp_path / "index.sqlite.lock")
        with pytest.raises(ResultsError, match="cannot be opened to make the index anew"):
            Store(tmp_path / "index.sqlite")
        subprocess.run(["rm", "-r", tmp_path / "index.sqlite.lock"], check=True)


def test_only_what_changed_is_read(tmp_path: Path, runs: list[RunDocument]) -> None:
    read: list[str] = []
    stamps = {"first": "1", "second": "1", "unreadable": "1"}

    def reading(name: str) -> RunDocument | None:
        read.append(name)
        return {run.header.run_id: run for run in runs}.get(name)

    with closing(Store(tmp_path / "index.sqlite")) as store:
        store.update(stamps, reading)
        assert read == list(stamps)
        store.update(stamps | {"second": "2"}, reading)
        assert read[3:] == ["second", "unreadable"]
        store.update({"second": "2"}, reading)
        assert (store.runs(), store.rows()) == (["second"], rows(runs[1]))
        assert len(read) == 5


def test_the_latest_is_the_one_recorded_last_whatever_its_clock_said(tmp_path: Path) -> None:
    wrong = renamed(make_run(1, 2, 1), "21000101T000000Z-aa", "2100-01-01")
    right = renamed(make_run(1, 2, 1), "20261128T000000Z-bb", "2026-11-28")
    kept = tmp_path / "runs.txt"
    assert in_order(kept, [wrong.header.run_id]) == [wrong.header.run_id]
    order = in_order(kept, [right.header.run_id, wrong.header.run_id])
    assert order == [wrong.header.run_id, right.header.run_id]
    assert opened(tmp_path / "index.sqlite", [wrong, right]) == rows(right)


def test_the_order_of_runs_outlives_a_flipped_bit(tmp_path: Path) -> None:
    path, names = tmp_path / "runs.txt", ["c", "a", "d", "b"]
    for number in range(len(names)):
        in_order(path, names[: number + 1])
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert in_order(path, [*names, "new"]) == [*names, "new"], bit
    path.unlink()
    assert in_order(path, names) == sorted(names)


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
