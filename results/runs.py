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
    kept = [_name(line) for line in content.split(b"\n") if line]
    left = sorted(there.difference(kept))
    found: list[str] = []
    for position, name in enumerate(kept):
        if name is None and left and kept[position - 1 : position] != [None]:
            found.append(left.pop(0))  # a damaged line holds the place of the earliest run that no line names
        elif name is not None:
            found.append(name)
    found = [name for name in dict.fromkeys([*found, *left]) if name in there]
    # Set apart by an empty line, so that no damaged bit joins two.
    wanted = "".join(f"{name} {crc32(name.encode()):08x}\n\n" for name in found).encode()
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


def _name(line: bytes) -> str | None:
    """The run that a line names, None when the line is damaged."""
    name, _, checksum = line.rpartition(b" ")
    return name.decode() if name.isascii() and checksum == f"{crc32(name):08x}".encode() else None
