"""Files that others may have planted, and files in use: what the agent may open, and what it must not remove."""

import fcntl
import os
import stat


class Unsafe(OSError):
    """A file is not this account's alone; the message says which and what to do."""


def open_own(path: str, flags: int) -> int:
    """Open, or make, a file of this account's alone: no link, no pipe, no second name of another file.

    Returns the descriptor. Raises OSError, of which Unsafe is one.
    """
    words = "{} is no plain file of this account's alone; remove it there".format(path)
    if os.path.islink(path):
        raise Unsafe(words)
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_nlink > 1:
        os.close(handle)
        raise Unsafe(words)
    return handle


def use(path: str) -> None:
    """Mark a file or folder as in use for as long as this process lives: a shared lock that nothing waits for."""
    try:
        fcntl.flock(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass  # it is being removed, which the next step finds out, or its disk knows no locks


def is_in_use(path: str, unknown: bool) -> bool:
    """Tell whether another process has marked it; `unknown` where that cannot be found out."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(handle)
    except BlockingIOError:
        return True
    except OSError:
        return unknown
    return False
