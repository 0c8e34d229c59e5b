"""One run at a time on a device: an flock'ed file, so that a killed run holds nothing."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

from harness.errors import DeviceBusy, WorkspaceError

_POLL_S = 0.2
# Any user may write a lock's file, so it is read as text and cut short.
_MAX_BYTES = 4096


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

    Raises DeviceBusy.
    """
    handle = _open(folder() / f"{name}.lock")
    try:
        holder = _acquire(handle, time.monotonic() + wait_s, lambda owner: on_wait(_busy(name, owner)), stopping)
        if holder:
            raise DeviceBusy(f"{_busy(name, holder)}; gave up after {wait_s:g} s, see --wait")
        os.ftruncate(handle, 0)
        owner = {"pid": os.getpid(), "user": _user(), "reason": reason, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.pwrite(handle, json.dumps(owner).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(name: str) -> str | None:
    """Return who holds the lock `name`, None when nobody does. Takes no lock itself."""
    try:
        handle = os.open(folder() / f"{name}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
    try:
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            path.parent.chmod(0o1777)  # every user's runs meet here
        # Not O_CREAT first: Linux forbids that on another user's file in a sticky folder.
        try:
            return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            os.fchmod(handle, 0o666)
            return handle
    except OSError as exc:
        raise WorkspaceError(f"the device lock {path} cannot be opened: {exc.strerror}") from exc


def _acquire(handle: int, deadline: float, on_wait: Callable[[str], None], stopping: Callable[[], bool]) -> str | None:
    """Return None once the lock is ours, or who has it when the time is over."""
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
        else:
            return None


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
