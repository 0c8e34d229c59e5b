"""Files that are there whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from results.errors import ResultsError

_SHARE_BLOCKS = 0x40049409  # FICLONE


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> None:
    """Copy what `source` holds, behind a link too, into a new file: blocks shared or holes left out where that works.

    Never a link, so that neither changes with the other. Folders are made as needed. Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as there, target.open("xb") as here:
        with suppress(OSError):
            fcntl.ioctl(here, _SHARE_BLOCKS, there.fileno())
            return
        size = os.fstat(there.fileno()).st_size
        here.truncate(size)
        for begin, end in _written(there.fileno(), size):
            there.seek(begin)
            here.seek(begin)
            while (left := end - there.tell()) > 0 and (chunk := there.read(min(left, 1 << 20))):
                here.write(chunk)


def _written(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # a file system without holes
                yield end, size
            return
        yield begin, end


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by the content in one step: a neighboring file, flushed to the disk, then renamed over it.

    A file that is replaced leaves its permissions; behind a link it is the file that the link names. What is no file,
    like /dev/stdout in a pipe, is written to. Raises ResultsError.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_bytes(content)
        except OSError as error:
            raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error
        return
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as stream:
            if path.exists():
                os.fchmod(stream.fileno(), stat.S_IMODE(path.stat().st_mode))
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)  # gone already when it has become the file
