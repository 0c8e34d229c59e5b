"""Waiting for what happens elsewhere, with one bound for all: far more than a busy machine takes."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

LIMIT_S = 120.0
# The time-out of a device that falls silent in a test: a living one on a busy machine answers within it.
SILENCE_S = 4.0

T = TypeVar("T")


def wait_until(found: Callable[[], T], process: subprocess.Popen[str] | None = None, *, limit_s: float = LIMIT_S) -> T:
    """Return the first true value of `found`. Fails when there is none in time, and when `process` ends before."""
    deadline = time.monotonic() + limit_s
    while not (value := found()):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"not so within {limit_s:g} s"
        time.sleep(0.02)
    return value


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that has ended and that its parent has not looked at does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process handles a signal itself."""
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        (mask,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
        return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def wait_until_ended(pid: int) -> None:
    wait_until(lambda: not is_running(pid))


def wait_for_ssh(server: subprocess.Popen[bytes], address: str, port: int, log: Path) -> None:
    """Wait until an SSH server greets: an open port alone may be an emulator's."""

    def greets() -> bool:
        with suppress(OSError), socket.create_connection((address, port), 5) as connection:
            return connection.recv(64).startswith(b"SSH-2.0")
        return False

    wait_until(lambda: greets() or server.poll() is not None)
    assert server.poll() is None, log.read_text()
