"""What is on disk survives whatever interrupts the writing of it, and what is damaged is told, never believed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import journal, lines
from results.errors import ResultsError
from results.files import write_file
from results.journal import Journal
from results.judge.summary import rows
from results.records import (
    SCHEMA_VERSION,
    Case,
    DeviceIdentity,
    DeviceSeen,
    Finished,
    Record,
    Restart,
    RunDocument,
)
from tests.results.factory import make_case, make_document, make_lost, make_restart, make_run
from tests.rigs.bench import DATA

NOW = "2026-11-21T10:00:00+00:00"
FLIPS = int(os.environ.get("EDGEBENCH_FLIPS", "1000"))


@pytest.fixture
def run() -> RunDocument:
    return make_run(2, 2, 2)


def devices(run: RunDocument) -> dict[str, str]:
    return {case.case_id: case.device for case in run.header.cases}


def written(parent: Path, run: RunDocument, *, finished: bool = False) -> Path:
    """Write a run's journals as a run does, and return its folder."""
    folder = parent / run.header.run_id
    opened = Journal.create(folder, run.header)
    add(opened, run, run.restarts)
    if finished:
        opened.add(Finished(at=NOW, restarts=len(run.restarts)))
    opened.close()
    return folder


def add(opened: Journal, run: RunDocument, records: tuple[Restart, ...]) -> None:
    for restart in records:
        opened.add(restart, devices(run)[restart.case_id])


def test_what_was_added_is_read_in_order(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    read = journal.read(folder)
    assert (read.header, read.finished_at, read.notes) == (run.header, None, ())
    for device in set(devices(run).values()):
        of_device = [restart for restart in run.restarts if devices(run)[restart.case_id] == device]
        assert [restart for restart in read.restarts if devices(run)[restart.case_id] == device] == of_device
        assert (folder / f"devices/{device}.jsonl").is_file()


def test_what_a_device_was_at_each_connection_is_kept(tmp_path: Path, run: RunDocument) -> None:
    device = run.header.cases[0].device
    seen = [
        DeviceSeen(device=device, at=NOW, identity=DeviceIdentity(kernel=kernel, hardware_id="ab" * 32))
        for kernel in ("6.1", "6.2")
    ]
    folder = written(tmp_path, run)
    opened = Journal.reopen(folder)
    for one in seen:
        opened.add(one, device)
    opened.close()
    assert journal.read(folder).devices == tuple(seen)


def test_journals_alone_tell_a_complete_run(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run, finished=True)
    assert journal.read(folder).finished_at == NOW
    assert rows(journal.read(folder)) == rows(run)


def test_the_document_of_a_finished_run_is_the_truth(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    finished = run.model_copy(update={"finished_at": NOW})
    path = journal.write_document(folder, finished)
    assert journal.read(folder) == finished
    path.write_bytes(b"{")
    read = journal.read(folder)
    assert sorted(read.restarts, key=repr) == sorted(run.restarts, key=repr)
    assert f"{path} is damaged" in read.notes[0]
    assert "journals were read instead" in read.notes[0]


def test_an_unfinished_document_gives_way_to_the_journal(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    journal.write_document(folder, RunDocument(header=run.header, restarts=()))
    assert len(journal.read(folder).restarts) == len(run.restarts)


@given(cut=st.floats(0, 1))
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    run = make_run(1, 1, 2)
    folder = written(tmp_path_factory.mktemp("cut"), run)
    path = folder / f"devices/{run.header.cases[0].device}.jsonl"
    content = path.read_bytes()
    kept = content[: int(cut * len(content))]
    path.write_bytes(kept)
    # A line that lacks nothing but its end is whole.
    whole = sum(piece.endswith(b"}}") for piece in kept.split(b"\n"))
    assert journal.read(folder).restarts == run.restarts[:whole]
    opened = Journal.reopen(folder)
    add(opened, run, run.restarts[whole:])
    opened.close()
    assert journal.read(folder).restarts == run.restarts


@pytest.mark.parametrize("damage", [b'{"case_id": 3}', b"[" * 100_000, b"\xff\xfe", b'{"kind":"restart","crc32":"0'])
def test_a_damaged_line_is_told_with_its_place_and_costs_no_other(
    tmp_path: Path, run: RunDocument, damage: bytes
) -> None:
    folder = written(tmp_path, run)
    path = folder / f"devices/{run.header.cases[0].device}.jsonl"
    before = journal.read(folder).restarts
    content = path.read_bytes().split(b"\n")
    content[3] = damage
    path.write_bytes(b"\n".join(content))
    read = journal.read(folder)
    assert read.restarts == before[:1] + before[2:]
    (note,) = read.notes
    assert note.startswith(f"{path}:4 is damaged or no result of bench (")
    assert len(note) < 1100


def test_many_damaged_lines_are_counted(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    (folder / f"devices/{run.header.cases[0].device}.jsonl").write_text("?\n" * 1000)
    assert len(journal.read(folder).notes) == 51


def test_a_record_that_nobody_knows_is_told(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    line = lines.encode(run.restarts[0]).replace(b'"restart"', b'"accuracy"')
    with pytest.raises(lines.Damaged, match="checksum"):
        lines.decode(line)
    content = line.partition(b'"record":')[2][:-1]
    known = b'{"kind":"accuracy","crc32":"%08x","record":%s}' % (lines._checksum(b"accuracy", content), content)
    with (folder / journal.JOURNAL).open("ab") as file:
        file.write(b"\n" + known + b"\n")
    assert "accuracy is no kind of record" in journal.read(folder).notes[0]


def test_what_a_newer_bench_wrote_is_refused_in_words(tmp_path: Path, run: RunDocument) -> None:
    newer = run.header.model_copy(update={"schema_version": SCHEMA_VERSION + 1})
    folder = written(tmp_path, run)
    (folder / journal.JOURNAL).write_bytes(lines.encode(newer) + b"\n")
    with pytest.raises(ResultsError, match=rf"schema version {SCHEMA_VERSION + 1}, this bench reads up to"):
        journal.read(folder)
    journal.write_document(folder, run.model_copy(update={"header": newer}))
    with pytest.raises(ResultsError, match=rf"schema version {SCHEMA_VERSION + 1}, this bench reads up to"):
        journal.read_document(folder / journal.DOCUMENT)


def test_an_empty_journal_and_no_journal(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be read"):
        journal.read(tmp_path)
    (tmp_path / journal.JOURNAL).touch()
    with pytest.raises(ResultsError, match="the run ended before it began"):
        journal.read(tmp_path)


@pytest.mark.parametrize("name", [journal.JOURNAL, journal.DOCUMENT])
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path, run: RunDocument, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ResultsError, match="is no file"):
        journal.read(tmp_path)
    if name == journal.JOURNAL:
        with pytest.raises(ResultsError, match="cannot be opened"):
            Journal.reopen(tmp_path)


def test_a_run_s_folder_is_never_taken_twice(tmp_path: Path, run: RunDocument) -> None:
    folder = written(tmp_path, run)
    with pytest.raises(ResultsError, match="cannot be started"):
        Journal.create(folder, run.header)


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_another_name_is_not_read(tmp_path: Path, run: RunDocument, finished: bool) -> None:
    folder = written(tmp_path, run)
    if finished:
        journal.write_document(folder, run)
    link = tmp_path / "latest"
    link.symlink_to(folder.name)
    assert journal.read(link).header == run.header
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    with pytest.raises(ResultsError, match=f"holds the run {run.header.run_id}: name the folder"):
        journal.read(copied)
    with pytest.raises(ResultsError, match="name the folder"):
        Journal.create(tmp_path / "new", run.header)


@pytest.mark.parametrize("id_", ["..", ".", "../x", "a/b", "", ".hidden", "x" * 65])
def test_the_id_of_a_run_is_no_path(id_: str, run: RunDocument) -> None:
    with pytest.raises(ValueError, match="run_id"):
        make_document([], [], run_id=id_)
    line = lines.encode(run.header.model_copy(update={"run_id": id_}))
    with pytest.raises(lines.Damaged, match="run_id"):
        lines.decode(line)


@pytest.mark.parametrize("name", ["..", "a/b", "", "\n", ".hidden"])
def test_the_name_of_a_device_is_no_path(tmp_path: Path, name: str) -> None:
    case = make_case(device=name)
    run = make_document([case], [make_restart(case)])
    with pytest.raises(ResultsError, match="no device's name"):
        written(tmp_path, run)
    assert journal.read(tmp_path / run.header.run_id).restarts == ()


@pytest.mark.parametrize(
    "name",
    [
        "schema1/20261128T164506Z-f45d29",
        "schema1/20261128T164513Z-1ebc3a",
        "schema2/20261128T201328Z-b3e61e",
        "schema2/20261128T201433Z-3ec9a4",
    ],
)
def test_a_journal_of_an_older_schema_is_gone_on_with(tmp_path: Path, name: str) -> None:
    folder = tmp_path / Path(name).name
    shutil.copytree(DATA / name, folder, ignore=shutil.ignore_patterns(journal.DOCUMENT))
    with (folder / journal.JOURNAL).open("ab") as file:
        file.write(b'{"case_id": "half a li')
    before = journal.read(folder)
    assert before.restarts
    assert len(before.notes) == 1
    case = before.header.cases[0]
    restart = make_restart(case, 1)
    opened = Journal.reopen(folder)
    opened.go_on(before.header)
    opened.add(restart, case.device)
    opened.add(Finished(at=NOW, restarts=len(before.restarts) + 1))
    opened.close()
    after = journal.read(folder)
    assert [one for one in after.restarts if one != restart] == list(before.restarts)
    assert restart in after.restarts
    assert (after.header, after.finished_at) == (before.header, NOW)
    # A bench of that time finds a schema that it does not know, before it meets what it would pass over.
    headers = [line for line in (folder / journal.JOURNAL).read_bytes().split(b"\n") if b'"schema_version"' in line]
    assert b'"schema_version":%d' % SCHEMA_VERSION in headers[-1]


def small_run(folder: Path) -> tuple[Path, RunDocument]:
    """A finished run of two devices with everything in it that is written, and little of it."""
    cases = [make_case(device, "m", power_mode="MAXN") for device in ("a", "b")]
    done = [make_restart(case, number, n=12) for case in cases for number in range(3)]
    run = make_document(cases, [*done, make_lost(cases[0], 3, reason="ü\n\x00")], finished_at=NOW)
    seen = [DeviceSeen(device=case.device, at=NOW, identity=DeviceIdentity(cpus=4)) for case in cases]
    run = run.model_copy(update={"devices": tuple(seen)})
    where = written(folder, run, finished=True)
    opened = Journal.reopen(where)
    for one in seen:
        opened.add(one, one.device)
    opened.close()
    return where, run


def flips(path: Path, count: int, seed: str) -> Iterator[int]:
    """Flip one bit after the other in a file, each time in the file as it was; yield where."""
    draw, content = random.Random(seed), path.read_bytes()
    for _ in range(count):
        place = draw.randrange(8 * len(content))
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        yield place
    path.write_bytes(content)


def check_nothing_changed(read: RunDocument, run: RunDocument, place: int) -> None:
    """Everything that is read is what was written; at most one record is missing, and then it is told."""
    assert read.header == run.header, place
    records: list[tuple[Record, ...]] = [read.restarts, read.devices]
    whole: list[tuple[Record, ...]] = [run.restarts, run.devices]
    for now, before in zip(records, whole, strict=True):
        assert all(record in before for record in now), place
        assert len(now) == len(set(map(repr, now))), place
    lost = sum(map(len, whole)) - sum(map(len, records))
    assert lost <= 1, place
    assert (lost == 0 and read.finished_at == NOW) or read.notes, place
    assert len(read.restarts) == len(run.restarts) or read.finished_at is None, place


@pytest.mark.parametrize("name", ["journal.jsonl", "devices/a.jsonl", "devices/b.jsonl"])
def test_one_flipped_bit_in_a_journal_costs_one_record_at_most(tmp_path: Path, name: str) -> None:
    folder, run = small_run(tmp_path)
    for place in flips(folder / name, FLIPS // 3 + 1, name):
        check_nothing_changed(journal.read(folder), run, place)


def test_one_flipped_bit_in_the_document_costs_nothing_and_is_told(tmp_path: Path) -> None:
    folder, run = small_run(tmp_path)
    path = journal.write_document(folder, run)
    assert journal.read(folder) == run
    for place in flips(path, FLIPS, "document"):
        read = journal.read(folder)
        check_nothing_changed(read, run, place)
        assert read.finished_at == NOW
        assert read == run or f"{path} is damaged" in read.notes[0]


def test_every_end_of_a_line_may_be_flipped(tmp_path: Path) -> None:
    folder, run = small_run(tmp_path)
    path = folder / "devices/a.jsonl"
    content = path.read_bytes()
    for place in [place for place, byte in enumerate(content) if byte == 10]:
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            check_nothing_changed(journal.read(folder), run, place)


def test_a_run_that_lost_a_record_is_gone_on_with_and_whole_again(tmp_path: Path) -> None:
    folder, run = small_run(tmp_path)
    path = folder / "devices/a.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":0', 1))
    read = journal.read(folder)
    missing = [restart for restart in run.restarts if restart not in read.restarts]
    assert len(missing) == 1
    opened = Journal.reopen(folder)
    opened.add(missing[0], "a")
    opened.add(Finished(at=NOW, restarts=len(run.restarts)))
    opened.close()
    assert sorted(map(repr, journal.read(folder).restarts)) == sorted(map(repr, run.restarts))
    assert journal.read(folder).finished_at == NOW


def test_what_is_written_of_a_device_can_be_read_again() -> None:
    case: Case = make_case()
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"x": deep}
    with pytest.raises(ValueError, match="nested more than"):
        make_restart(case, actual=deep)


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "x", b"old")
    write_file(tmp_path / "x", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
