"""The seam to a device. Foreign errors end here, as `harness.errors.TransportError`s."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import AgentError, Unwritable

MAX_LINE_BYTES = 32 << 20
MAX_STDERR_BYTES = 64 << 10
MAX_PULL_BYTES = 1 << 30
MAX_NOISE_BYTES = 1 << 20  # what a shell may print before a command begins


# What a device says when it cannot write a file, and what to do about it.
_REMEDIES = {
    "Read-only file system|Permission denied|Operation not permitted": "name a folder that can be written",
    "No space left|[Qq]uota exceeded|File too large": "make room there, or name another folder",
}


def unwritable(what: str, why: str) -> Unwritable | None:
    """Return the error for a device that cannot write, with what to do about it; None where `why` is something else."""
    for words, remedy in _REMEDIES.items():
        if re.search(words, why):
            return Unwritable(f"{what}: {why}; {remedy} with root = … in devices.toml")
    return None


def take_line(buffer: bytearray, receive: Callable[[], bool]) -> bytes | None:
    """Take the first line out of the buffer, without its newline; `receive` adds to it, and is False at the end.

    An unfinished last line is none. Raises AgentError for one longer than MAX_LINE_BYTES.
    """
    searched = 0
    while (end := buffer.find(b"\n", searched)) < 0:
        searched = len(buffer)
        if searched > MAX_LINE_BYTES:
            raise AgentError(f"a line longer than {MAX_LINE_BYTES} bytes")
        if not receive():
            return None
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. `exit_code` is None when it was killed (by `signal`, if known) or its end was not seen."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    signal: int | None = None

    @property
    def last_words(self) -> str:
        """The last line on standard error, shortened; "" when there is none."""
        return next(reversed(self.stderr.decode("utf-8", "replace").strip().splitlines()), "")[:300]


class Stream(ABC):
    """A running command whose standard output is read line by line. Its standard input stays open until `close`."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write more to the command's standard input. Raises ConnectError; a command that has ended reads nothing."""

    @abstractmethod
    def read_line(self, timeout_s: float) -> bytes | None:
        """Return the next line without its newline, None at the end of the output.

        Raises CommandTimeout when none comes in time, AgentError when a line is longer than MAX_LINE_BYTES.
        """

    @abstractmethod
    def close(self) -> Completed:
        """Kill the command with everything it started if it still runs; return its exit code and the end of stderr."""


class Transport(ABC):
    """One device, reachable. Commands are argument lists; no implementation may splice one into a shell unquoted.

    `shared` says that other hosts may reach the device at the same time, `has_shell` that it runs more than the agent.
    """

    shared = False
    has_shell = True

    @abstractmethod
    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Run a short command to its end. Raises CommandTimeout, ConnectError."""

    @abstractmethod
    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        """Start a long command with `stdin` written to it. Raises ConnectError."""

    @abstractmethod
    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        """Copy a file to the device, folders included, under a temporary name first. Raises TransferError.

        Over a network nothing of it is sent when `target` has the right hash already. `sha256` is the file's, where it
        is known; else it is computed.
        """

    @abstractmethod
    def pull(self, source: PurePosixPath, target: Path) -> None:
        """Copy a file from the device. Raises TransferError."""

    @abstractmethod
    def close(self) -> None:
        """Let the device go, from any thread: commands end, no further one starts (ConnectError). Idempotent."""
