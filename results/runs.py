"""The runs of a workspace as files: in which order they were recorded, and whether they have changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from results.errors import ResultsError
from results.files import write_file


def in_order(path: Path, names: Iterable[str]) -> list[str]:
    """Return the runs, the earliest recorded first; `path` is where their order is kept, because a clock may be wrong.

    A run that it does not name yet, whoever made it, comes last. Without the file the names give the order: they begin
    with the time.
    """
    there = set(names)
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    kept = next(filter(None, map(_kept, content.split(b"\n"))), [])
    found = [name for name in dict.fromkeys([*kept, *sorted(there.difference(kept))]) if name in there]
    line = " ".join(found).encode()
    # Twice, set apart by an empty line: a damaged bit costs one of them.
    wanted = b"\n\n".join([b"%s %08x" % (line, crc32(line))] * 2) + b"\n"
    if wanted != content:
        with suppress(ResultsError):  # a disk that takes no more: the order is found again next time
            write_file(path, wanted)
    return found


def stamp(folder: Path) -> str:
    """Name, size and time of change of each file of results in a run's folder. Raises ResultsError."""
    try:
        return " ".join(sorted(_stamps(folder)))
    except OSError as exc:
        raise ResultsError(f"{exc.filename} cannot be read: {exc.strerror}") from exc


def _stamps(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _stamps(Path(entry))
            elif entry.name.endswith((".json", ".jsonl")):
                found = entry.stat()
                yield f"{entry.name}:{found.st_size}:{found.st_mtime_ns}"


def _kept(line: bytes) -> list[str]:
    """The runs that a line names; none when the line is damaged."""
    names, _, checksum = line.rpartition(b" ")
    is_whole = names.isascii() and checksum == b"%08x" % crc32(names)
    return names.decode().split() if is_whole else []
