"""A run on disk: a journal while it runs, a document that is the truth, both in one folder.

    <run>/journal.jsonl   line 1 the header, then one restart a line, each synced before the next begins
    <run>/run.json        the whole `RunDocument`, written atomically when the run ends, complete or not

A `kill -9` can cut the last line of the journal short; reading passes over such a line and resuming cuts it off.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pydantic_core
from pydantic import ValidationError

from results.errors import ResultsError
from results.files import write_file
from results.records import SCHEMA_VERSION, Restart, RunDocument, RunHeader, upgrade

JOURNAL = "journal.jsonl"
DOCUMENT = "run.json"

T = TypeVar("T", RunHeader, Restart, RunDocument)


class Journal:
    """The journal of one run, open for appending, by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, and ResultsError while another process has it open."""
        self._path = folder / JOURNAL
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._file)
            if isinstance(exc, BlockingIOError):
                raise ResultsError(f"{self._path} is being written: another bench is at work on this run") from exc
            raise

    @classmethod
    def create(cls, folder: Path, header: RunHeader) -> Journal:
        """Start the journal of a new run in `folder`, which must not exist. Raises ResultsError.

        It appears with its header: a run that is killed before that never began.
        """
        try:
            folder.mkdir(parents=True)
            write_file(folder / JOURNAL, header.model_dump_json().encode() + b"\n")
            _sync_folder(folder)
            journal = cls(folder)
        except OSError as exc:
            raise ResultsError(f"the run cannot be started in {folder}: {exc.strerror}") from exc
        return journal

    @classmethod
    def reopen(cls, folder: Path) -> Journal:
        """Open an existing journal, cutting off a last line that was not finished.

        Raises ResultsError, also while another process writes it.
        """
        try:
            journal = cls(folder)
            os.truncate(journal._file, journal._path.read_bytes().rfind(b"\n") + 1)
            os.fsync(journal._file)
            return journal
        except OSError as exc:
            raise ResultsError(f"the journal in {folder} cannot be opened: {exc.strerror}") from exc

    def add(self, restart: Restart) -> None:
        """Append one restart and wait until the disk has it. Raises ResultsError (a full disk), adding nothing."""
        try:
            self._append(restart.model_dump_json())
        except OSError as exc:
            raise ResultsError(
                f"{self._path} cannot be written: {exc.strerror}. Everything measured before is kept; "
                f"make room, then go on with: bench run --resume {self._path.parent.name}"
            ) from exc

    def _append(self, line: str) -> None:
        data = line.encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, before)  # half a line would spoil the next one
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(folder: Path) -> RunDocument:
    """Return what is known of a run: the document of a finished one, else what its journal holds so far.

    Raises ResultsError when neither can be read, saying which and where.
    """
    has_journal = (folder / JOURNAL).exists()
    if (folder / DOCUMENT).exists() or not has_journal:
        try:
            document = read_document(folder / DOCUMENT)
        except ResultsError:
            if not has_journal:
                raise
        else:
            if document.finished_at is not None or not has_journal:
                return document
    return _read_journal(folder)


def read_document(path: Path) -> RunDocument:
    """Return the document in `path`. Raises ResultsError."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ResultsError(f"{path} cannot be read: {exc.strerror}") from exc
    return _validated(RunDocument, _upgraded(content), str(path))


def write_document(folder: Path, document: RunDocument) -> Path:
    """Write the run's document, all of it or nothing, and return its path. Raises ResultsError."""
    path = folder / DOCUMENT
    write_file(path, document.model_dump_json().encode())
    return path


def _read_journal(folder: Path) -> RunDocument:
    path = folder / JOURNAL
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # behind the last newline is nothing, or half a line
    except OSError as exc:
        raise ResultsError(f"{path} cannot be read: {exc.strerror}") from exc
    if not lines:
        raise ResultsError(f"{path} is empty: the run ended before it began")
    header = _validated(RunHeader, _upgraded(lines[0]), f"{path}:1")
    return RunDocument(header=header, restarts=tuple(_restarts(lines[1:], path)))


def _restarts(lines: list[bytes], path: Path) -> Iterator[Restart]:
    for number, line in enumerate(lines, start=2):
        yield _validated(Restart, _upgraded(line), f"{path}:{number}")


def _validated(kind: type[T], content: bytes, where: str) -> T:
    try:
        return kind.model_validate_json(content)
    except ValidationError as exc:
        _refuse_newer(content, where)
        first = exc.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{where} is damaged or no result of bench ({field}: {first['msg']})") from exc


def _upgraded(content: bytes) -> bytes:
    """A line or document of schema 1 in the shape of today's; anything else as it is."""
    try:
        tree = pydantic_core.from_json(content)
        if "header" in tree and tree["header"].get("schema_version") == 1:
            return pydantic_core.to_json(upgrade.document(tree))
        if tree.get("schema_version") == 1:
            return pydantic_core.to_json(upgrade.header(tree))
        return pydantic_core.to_json(upgrade.restart(tree)) if "case_id" in tree and "cause" not in tree else content
    except (ValueError, TypeError, AttributeError, KeyError):
        return content


def _refuse_newer(content: bytes, where: str) -> None:
    """Say so when the reason for not understanding a file is that a newer bench wrote it."""
    try:
        tree = json.loads(content)
        version = tree.get("header", tree).get("schema_version")
    except (ValueError, AttributeError, RecursionError):
        return
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ResultsError(f"{where} has schema version {version}, this bench reads up to {SCHEMA_VERSION}: update it")


def _sync_folder(folder: Path) -> None:
    """Make the folder's entries durable too: a synced file whose name is lost is lost."""
    for path in (folder, folder.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
