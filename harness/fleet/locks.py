"""One run at a time on a device: an flock'ed file, so that a killed run holds nothing."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from harness.errors import DeviceBusy, LockUnusable

_POLL_S = 0.2
# Any user may write a lock's file, so it is read as text and cut short.
_MAX_BYTES = 4096
# Nor may another user's FIFO or link in a lock's place make us wait, or write elsewhere.
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def folder() -> Path:
    """Return where the locks of this machine's devices are: the same for every user and workspace."""
    return Path(tempfile.gettempdir()) / "edgebench-locks"


@contextmanager
def hold(
    name: str,
    reason: str,
    *,
    wait_s: float,
    on_wait: Callable[[str], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Hold the lock `name`, waiting at most `wait_s` or until `stopping()`; `on_wait` is told once who has it.

    Raises DeviceBusy, LockUnusable.
    """
    path = folder() / f"{name}.lock"
    handle = _open(path)
    try:
        holder = _acquire(path, handle, time.monotonic() + wait_s, lambda owner: on_wait(_busy(name, owner)), stopping)
        if holder:
            raise DeviceBusy(f"{_busy(name, holder)}; gave up after {wait_s:g} s, see --wait")
        owner = {"pid": os.getpid(), "user": _user(), "reason": reason, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        _write(handle, json.dumps(owner).encode())
        try:
            yield
        finally:
            _write(handle, b"")
    finally:
        os.close(handle)


def holder(name: str) -> str | None:
    """Return who holds the lock `name`, None when nobody does. Takes no lock itself."""
    try:
        handle = os.open(folder() / f"{name}.lock", os.O_RDONLY | _CAREFULLY)
    except OSError:
        return None
    try:
        content = os.pread(handle, _MAX_BYTES, 0)
        os.kill(int(json.loads(content)["pid"]), 0)
    except PermissionError:
        pass  # another user's
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    finally:
        os.close(handle)
    return _said(content)


def _open(path: Path) -> int:
    """Return the handle of a lock's file, made if need be. Raises LockUnusable for whatever else is in its place."""
    try:
        with suppress(FileExistsError):
            path.parent.mkdir()
            path.parent.chmod(0o1777)  # every user's runs meet here
        if not S_ISDIR(path.parent.lstat().st_mode):
            raise LockUnusable(f"{path.parent}, where device locks are, is not a folder; remove it")
        # Not O_CREAT first: Linux forbids that on another user's file in a sticky folder.
        try:
            handle = os.open(path, os.O_RDWR | _CAREFULLY)
        except FileNotFoundError:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFULLY, 0o666)
            os.fchmod(handle, 0o666)
    except OSError as exc:
        raise LockUnusable(
            f"the device lock {path} cannot be opened ({exc.strerror}); remove it, or set TMPDIR"
        ) from exc
    found = os.fstat(handle)
    if not S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise LockUnusable(f"the device lock {path} is not a plain file of its own; remove it")
    return handle


def _acquire(
    path: Path, handle: int, deadline: float, on_wait: Callable[[str], None], stopping: Callable[[], bool]
) -> str | None:
    """Return None once the lock is ours, or who has it when the time is over. Raises LockUnusable."""
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _said(os.pread(handle, _MAX_BYTES, 0))
            if time.monotonic() >= deadline or stopping():
                return owner
            if not told:
                on_wait(owner)
                told = True
            time.sleep(_POLL_S)
        except OSError as exc:  # a file system without locks
            raise LockUnusable(f"the device lock {path} cannot be locked: {exc.strerror}; set TMPDIR") from exc
        else:
            return None


def _write(handle: int, owner: bytes) -> None:
    """Say who holds the lock; on a full disk it is held all the same, by nobody that is named."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, owner, 0)


def _busy(name: str, owner: str) -> str:
    return f"device {name} is in use by {owner}"


def _said(content: bytes) -> str:
    """Say who holds the lock."""
    try:
        owner = json.loads(content)
        said = f"{owner['reason']} (pid {owner['pid']}, {owner['user']}, since {owner['since']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another run"
    return "".join(character for character in said if character.isprintable())[:200]


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
