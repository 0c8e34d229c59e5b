"""The user's own SSH files: read so that none of them can keep bench waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_MAX_BYTES = 16 << 20


def read(path: Path) -> bytes:
    """Return a file's content. Raises OSError; also for a pipe, whose other end may never come, and without an end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        kind = os.fstat(handle).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISCHR(kind):  # /dev/null is as good as an empty file
            raise OSError(errno.EINVAL, "it is not a file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {_MAX_BYTES >> 20} MiB")
    return content
