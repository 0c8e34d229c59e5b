"""Hold the device for one host: an flock'ed file, given back when the host ends, falls silent, or inherits it.

Events: `busy` (owner, held_s, over) while another host has the device, and again with `over` when the wait for it is;
`held` once it is ours, which it stays until the host writes `end`, closes the pipe, or writes nothing for `lease_s`.
"""

import fcntl
import json
import os
import select
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict

from harness.agent.guard import open_own

_POLL_S = 0.2
_WATCH_S = 2.0
_MAX_BYTES = 4096

Emit = Callable[[Dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """The lock's file, who wants it (`token` marks the same host's later connections), how long to wait and keep it."""

    path: str
    owner: str
    token: str
    wait_s: float
    lease_s: float


def run(request: Request, emit: Emit) -> int:
    """Wait for the lock, say `held`, keep it. Returns the exit status. Raises OSError."""
    path = request.path
    if os.path.dirname(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    mine = {"owner": request.owner, "token": request.token, "pid": os.getpid(), "begun": time.monotonic()}
    while True:
        handle = open_own(path, os.O_RDWR | os.O_CREAT)
        if not _acquire(handle, mine, request.wait_s, emit):
            return 1
        if _is_there(handle, path):
            break
        os.close(handle)  # the device was cleaned meanwhile: the lock is another file now
    mine["held"] = time.monotonic()
    _write(handle, mine)
    end_orphan(path)
    emit({"event": "held"})
    _keep(handle, mine, request.lease_s)
    return 0


def _acquire(handle: int, mine: Dict[str, Any], wait_s: float, emit: Emit) -> bool:
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            holder = _read(handle)
        if holder.get("token") == mine["token"]:
            if _begun(holder) > mine["begun"]:
                return False  # we are the remnant
            _write(handle, mine)  # the holder is a remnant of our own lost connection: it sees this and goes
        elif time.monotonic() >= deadline:
            emit(_busy(holder, over=True))
            return False
        elif not told:
            told = True
            emit(_busy(holder, over=False))
        if _host_is_gone(_POLL_S):
            return False


def _keep(handle: int, mine: Dict[str, Any], lease_s: float) -> None:
    """Return when the host said `end`, closed the pipe, was silent for `lease_s`, or came back by a new connection."""
    deadline = time.monotonic() + lease_s
    while time.monotonic() < deadline:
        if _read(handle).get("pid") != mine["pid"]:
            return
        if select.select([0], [], [], min(_WATCH_S, lease_s))[0]:
            said = os.read(0, 4096)
            if not said or b"end" in said:
                break
            deadline = time.monotonic() + lease_s
    os.ftruncate(handle, 0)


def holder(path: str) -> Dict[str, Any]:
    """Return the `busy` event of whoever has the device, nothing when nobody has. Takes no lock itself."""
    try:
        handle = open_own(path, os.O_RDWR)
    except OSError:
        return {}
    held = _read(handle)
    os.close(handle)
    try:
        os.kill(int(held["pid"]), 0)
    except PermissionError:
        pass  # another user's
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return {}
    return _busy(held, over=False)


def _is_there(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _begun(holder: Dict[str, Any]) -> float:
    begun = holder.get("begun")
    return begun if isinstance(begun, float) else 0.0


def _host_is_gone(wait_s: float) -> bool:
    return bool(select.select([0], [], [], wait_s)[0]) and not os.read(0, 4096)


def _read(handle: int) -> Dict[str, Any]:
    try:
        tree = json.loads(os.pread(handle, _MAX_BYTES, 0).decode("utf-8"))
    except (ValueError, OSError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _write(handle: int, tree: Dict[str, Any]) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(tree).encode("utf-8"), 0)


def _busy(holder: Dict[str, Any], over: bool) -> Dict[str, Any]:
    """Say who has the device and for how long: its clock may be wrong, so no time of day."""
    said = str(holder.get("owner") or "another host")
    owner = "".join(character for character in said if character.isprintable())[:200]
    held = holder.get("held")
    seconds = max(0.0, time.monotonic() - held) if isinstance(held, float) else None
    return {"event": "busy", "owner": owner, "held_s": seconds, "over": over}


def mark_running(path: str) -> int:
    """Note in `path`.running, locked while this process lives, that it measures. Returns the handle, to be kept."""
    handle = open_own(path + ".running", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    _write(handle, {"pid": os.getpid()})
    return handle


def end_orphan(path: str) -> None:
    """Kill a measurement that still runs for a host that has lost the device."""
    try:
        handle = open_own(path + ".running", os.O_RDWR)
    except OSError:
        return
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            pid = _read(handle).get("pid")
        if isinstance(pid, int) and pid > 1 and pid != os.getpid():
            try:
                os.kill(pid, 9)
            except OSError:
                pass
        time.sleep(0.05)
    os.close(handle)
