"""This machine as a device: child processes and files."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO, ClassVar

from harness.errors import CommandTimeout, ConnectError, TransferError
from harness.transports.base import MAX_STDERR_BYTES, Completed, Stream, Transport, take_line, unwritable
from harness.transports.kind import Kind, Named
from results.files import copy_file

_REMEDIES = {
    errno.EACCES: "; it must be executable, in a folder that is not mounted noexec",
    errno.ENOEXEC: "; it is not a program for this machine",
}


class Local(Kind):
    """This machine, with the Python that runs `bench`."""

    root: ClassVar[str | None] = None
    python: ClassVar[str | None] = sys.executable

    def connect(self, device: Named, known_hosts: Path | None) -> Transport:
        return LocalTransport()

    def place(self, folder: str) -> str:
        """Not below the folder that `bench` was started in, which is another one tomorrow."""
        return str(Path("~").expanduser() / folder)


class LocalTransport(Transport):
    """Runs commands as children in sessions of their own, so that a Ctrl-C reaches the host alone."""

    def __init__(self) -> None:
        self._streams: set[LocalStream] = set()
        self._guard = threading.Lock()
        self._closed = False

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        with _start(command, subprocess.PIPE) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout=timeout_s)
            except subprocess.TimeoutExpired as exc:
                raise CommandTimeout(f"{command[0]} did not end within {timeout_s:g} s") from exc
            finally:
                _kill(process)
        return _completed(process, stdout, stderr[-MAX_STDERR_BYTES:])

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        opened = LocalStream(command, stdin)
        with self._guard:
            self._streams = {opened, *(running for running in self._streams if running.is_open)}
            is_closed = self._closed
        if is_closed:  # by another thread, which could not end this one
            opened.close()
            raise ConnectError("this machine was let go")
        return opened

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        destination = Path(target)
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".push-") as folder:
                part = Path(folder, "part")
                copy_file(source, part)
                part.replace(destination)
        except OSError as exc:
            what, why = f"{source} cannot be copied to {target}", str(exc.strerror)
            raise unwritable(what, why) or TransferError(f"{what}: {why}") from exc

    def pull(self, source: PurePosixPath, target: Path) -> None:
        try:
            shutil.copyfile(source, target)
        except OSError as exc:
            raise TransferError(f"{source} cannot be copied to {target}: {exc.strerror}") from exc

    def close(self) -> None:
        """End what still runs; whoever reads from it sees the end of the output."""
        with self._guard:
            self._closed = True
            streams = self._streams
        for running in streams:
            running.kill()


class LocalStream(Stream):
    """A child process; its standard error goes to an unnamed file, so that it can neither block nor flood."""

    def __init__(self, command: Sequence[str], stdin: bytes) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        try:
            self._process = _start(command, self._stderr)
        except ConnectError:
            self._stderr.close()
            raise
        assert self._process.stdin is not None  # noqa: S101 - for mypy: started with a pipe
        assert self._process.stdout is not None  # noqa: S101
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._buffer = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._tail = b""
        self.write(stdin)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died: reading says so
            self._stdin.write(data)
            self._stdin.flush()

    def read_line(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s

        def receive() -> bool:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise CommandTimeout(f"no answer within {timeout_s:g} s")
            chunk = os.read(self._stdout.fileno(), 1 << 20)
            self._buffer += chunk
            return bool(chunk)

        return take_line(self._buffer, receive)

    @property
    def is_open(self) -> bool:
        """Whether `close` is still to come."""
        return not self._stderr.closed

    def kill(self) -> None:
        """End the command now; another thread may be reading."""
        _kill(self._process)

    def close(self) -> Completed:
        if self.is_open:
            _kill(self._process)
            self._selector.close()
            self._stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self._stdin.close()
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - MAX_STDERR_BYTES))
            self._tail = self._stderr.read()
            self._stderr.close()
        return _completed(self._process, b"", self._tail)


def _start(command: Sequence[str], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )
    except OSError as exc:
        raise ConnectError(
            f"{command[0]} cannot be started: {exc.strerror}{_REMEDIES.get(exc.errno or 0, '')}"
        ) from exc


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started; one that has ended by itself keeps its exit code."""
    # The agent exits right after its last line: give it the moment that takes.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _completed(process: subprocess.Popen[bytes], stdout: bytes, stderr: bytes) -> Completed:
    code = process.returncode
    return Completed(None, stdout, stderr, -code) if code < 0 else Completed(code, stdout, stderr)
