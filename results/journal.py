"""A run on disk: journals while it runs, a document that is the truth, all in one folder named by the run's id.

    <run>/journal.jsonl           the header, twice, then what belongs to no device: exports that failed, the end
    <run>/devices/<device>.jsonl  what a device was at each connection, its restarts and evaluations
    <run>/run.json                the whole `RunDocument`, written atomically when the run ends, complete or not

Each record is one line with a checksum (`results.lines`), synced before it counts as written, and an empty line lies
between two of them, so that one damaged byte costs one record at most. What is damaged is passed over and told in the
document's `notes`; so is the half line that a `kill -9` leaves. Runs of schema 1 have all restarts in journal.jsonl.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from results import lines
from results.errors import ResultsError
from results.files import write_file
from results.records import (
    DEVICE_NAME,
    DeviceSeen,
    Evaluation,
    Finished,
    Record,
    Restart,
    RunDocument,
    RunHeader,
)

JOURNAL = "journal.jsonl"
DEVICES = "devices"
DOCUMENT = "run.json"

# Without waiting: a pipe that somebody put in a file's place would be waited for.
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
_MAX_NOTES, _MAX_NOTE = 50, 1000


class Journal:
    """The journals of one run, open for appending, by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, and ResultsError while another process has it open."""
        self._folder = folder
        self._lock = os.open(folder / JOURNAL, _APPENDING)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            if isinstance(exc, BlockingIOError):
                raise ResultsError(
                    f"{folder / JOURNAL} is being written: another bench is at work on this run"
                ) from exc
            raise

    @classmethod
    def create(cls, folder: Path, header: RunHeader) -> Journal:
        """Start the journal of a new run in `folder`, which must not exist and be named by its id. Raises ResultsError.

        It appears with its header: a run that is killed before that never began.
        """
        _check_name(folder, header)
        try:
            folder.mkdir(parents=True)
            line = lines.encode(header)
            write_file(folder / JOURNAL, line + b"\n\n" + line + b"\n")
            _sync(folder, folder.parent)
            return cls(folder)
        except OSError as exc:
            raise ResultsError(f"the run cannot be started in {folder}: {exc.strerror}") from exc

    @classmethod
    def reopen(cls, folder: Path) -> Journal:
        """Open an existing journal. Raises ResultsError, also while another process writes it."""
        try:
            return cls(folder)
        except OSError as exc:
            raise ResultsError(f"the journal in {folder} cannot be opened: {exc.strerror}") from exc

    def add(self, record: DeviceSeen | Restart | Evaluation | Finished, device: str | None = None) -> None:
        """Append a record, of a device to that device's journal, and wait until the disk has it.

        Several threads may do so at once, each for another device. Raises ResultsError, adding nothing: for a full
        disk, or for what is no device's name.
        """
        if device is not None and not re.fullmatch(DEVICE_NAME, device):
            raise ResultsError(f"{device!r} is no device's name: letters, digits, '_', '.' and '-', at most 64")
        self._append(self._folder / (JOURNAL if device is None else f"{DEVICES}/{device}.jsonl"), record)

    def go_on(self, header: RunHeader) -> None:
        """Write the header once more, before records of today follow those of a bench that may have been older.

        An older one that reads it is told so, instead of passing over lines that it does not know. Raises ResultsError.
        """
        self._append(self._folder / JOURNAL, header)

    def _append(self, path: Path, record: Record) -> None:
        try:
            is_new = not path.exists()
            path.parent.mkdir(exist_ok=True)
            _append(path, record)
            if is_new:
                _sync(path.parent, self._folder)
        except OSError as exc:
            raise ResultsError(
                f"{path} cannot be written: {exc.strerror}. Everything measured before is kept; "
                f"make room, then go on with: bench run --resume {self._folder.name}"
            ) from exc

    def close(self) -> None:
        """Let the run go."""
        os.close(self._lock)


def _append(path: Path, record: Record) -> None:
    """Write one record between line ends: half a line that a killed process left before it stays by itself."""
    data = b"\n" + lines.encode(record) + b"\n"
    # Opened for each record: a thousand devices are more files than a process may have open.
    file = os.open(path, _APPENDING | os.O_CREAT, 0o666)
    try:
        before, written = os.fstat(file).st_size, 0
        try:
            while written < len(data):
                written += os.write(file, data[written:])
            os.fsync(file)
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def read(folder: Path) -> RunDocument:
    """Return what is known of a run: the document of a finished one, else what its journals hold so far.

    Raises ResultsError when neither can be read, saying which and where.
    """
    has_journal = (folder / JOURNAL).exists()
    notes: tuple[str, ...] = ()
    if (folder / DOCUMENT).exists() or not has_journal:
        try:
            document = read_document(folder / DOCUMENT)
        except ResultsError as exc:
            if not has_journal:
                raise
            notes = (f"{str(exc)[:_MAX_NOTE]}; the run's journals were read instead",)
        else:
            if document.finished_at is not None or not has_journal:
                return document
    document = _read_journals(folder)
    return document.model_copy(update={"notes": (*notes, *document.notes)})


def read_document(path: Path) -> RunDocument:
    """Return the document in `path`. Raises ResultsError."""
    try:
        document = lines.decode(_content(path).removesuffix(b"\n"))
        if not isinstance(document, RunDocument):
            raise lines.Damaged("it is no run document")
    except (lines.Damaged, lines.Newer) as exc:
        raise ResultsError(f"{path} {exc}") from exc
    _check_name(path.parent, document.header)
    return document


def write_document(folder: Path, document: RunDocument) -> Path:
    """Write the run's document, all of it or nothing, and return its path. Raises ResultsError."""
    path = folder / DOCUMENT
    write_file(path, lines.encode(document) + b"\n")
    return path


def _read_journals(folder: Path) -> RunDocument:
    path, notes = folder / JOURNAL, list[str]()
    found = list(_records(path, notes))
    header = next((record for record in found if isinstance(record, RunHeader)), None)
    if header is None:
        raise ResultsError(notes[0] if notes else f"{path} is empty: the run ended before it began")
    _check_name(folder, header)
    for device in dict.fromkeys(case.device for case in header.cases):
        file = folder / DEVICES / f"{device}.jsonl"
        if re.fullmatch(DEVICE_NAME, device) and file.exists():
            found += _records(file, notes)
    restarts = tuple(record for record in found if isinstance(record, Restart))
    finished = next((record for record in reversed(found) if isinstance(record, Finished)), None)
    if finished is not None and finished.restarts > len(restarts):
        notes.append(
            f"{folder}: of {finished.restarts} restarts {len(restarts)} can be read; "
            f"the others are measured again by: bench run --resume {folder.name}"
        )
        finished = None
    if (more := len(notes) - _MAX_NOTES) > 0:
        notes[_MAX_NOTES:] = [f"{folder}: {more} more lines are damaged"]
    return RunDocument(
        header=header,
        devices=tuple(record for record in found if isinstance(record, DeviceSeen)),
        restarts=restarts,
        evaluations=tuple(record for record in found if isinstance(record, Evaluation)),
        finished_at=finished.at if finished else None,
        notes=tuple(notes),
    )


def _records(path: Path, notes: list[str]) -> Iterator[Record]:
    """Read one file; damaged lines become notes. Raises ResultsError when it cannot be read, or is too new."""
    for number, line in enumerate(_content(path).split(b"\n"), start=1):
        try:
            if line:
                yield lines.decode(line)
        except lines.Damaged as exc:
            notes.append(f"{f'{path}:{number} {exc}'[:_MAX_NOTE]}; passed over")
        except lines.Newer as exc:
            raise ResultsError(f"{path}:{number} {exc}") from exc


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ResultsError(f"{path} is no file")
        return path.read_bytes()
    except OSError as exc:
        raise ResultsError(f"{path} cannot be read: {exc.strerror}") from exc


def _check_name(folder: Path, header: RunHeader) -> None:
    """A run is written where its id says: a folder of another name would be read here and written there."""
    if Path(os.path.realpath(folder)).name != header.run_id:
        raise ResultsError(f"{folder} holds the run {header.run_id}: name the folder {header.run_id} again")


def _sync(*folders: Path) -> None:
    """Make the entries of folders durable too: a synced file whose name is lost is lost."""
    for path in folders:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
