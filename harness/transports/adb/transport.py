"""A phone or another Android device, over adb.

The real adb server (the user's own, or started with the `adb` found here) does USB, keys and reconnecting; commands
talk to it through its socket rather than through one `adb` process each. That decides what matters here:

- The exit code is a message of the device's daemon, and its absence means that the device went away. The program's own
  exit code cannot tell: adb 29 exits with 0 when a device drops in mid-command, `adb connect` whatever happened.
- What the command prints to standard error is not mixed with what the program has to say.
- Standard input stays open, and every wait has an end, without a process that can hang.
- A command costs round trips, not the start of a program (2.5 ms against 4.5 ms on loopback).

Files go through a shell's standard input as well: `adb push` cannot go on where it was cut, checks
nothing and has no time-out. What that costs stands in docs/adb.md.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.errors import AgentError, CommandTimeout
from harness.transports.adb import files as adb_files
from harness.transports.adb.connection import END_S, AdbConnection
from harness.transports.adb.server import AdbServer, is_network
from harness.transports.adb.shell import Shell
from harness.transports.base import MAX_LINE_BYTES, Completed, Stream, Transport, take_line


class AdbTransport(Transport):
    """An Android device (7 or newer) by its serial; without one, the only device that adb sees.

    A serial HOST:PORT is a device in the network and is connected to when need be. The server is on `host` and `port`
    (default: where adb itself looks, this machine's port 5037 unless the environment says otherwise). `timeout_s`
    bounds every silence of the device: at the start of a command, in a transfer, and when it is asked whether it is
    still there.
    """

    def __init__(
        self,
        serial: str | None = None,
        host: str | None = None,
        port: int | None = None,
        *,
        timeout_s: float = 20.0,
    ) -> None:
        """Reach the device. Raises ConnectError, which says what to do."""
        server = AdbServer.at(host, port)
        server.start()
        self.connection = AdbConnection(server, serial, timeout_s)
        # A phone on a cable is this server's alone.
        self.shared = is_network(self.serial) or not server.is_local

    @property
    def serial(self) -> str:
        """The device's serial."""
        return self.connection.serial

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        deadline = time.monotonic() + timeout_s
        with self.connection.shell(f"exec {shlex.join(command)}") as shell:
            in_time = shell.send(stdin, timeout_s) and shell.close_stdin(timeout_s)
            while in_time and not shell.ended:
                in_time = shell.turn(deadline)
                if len(shell.stdout) > MAX_LINE_BYTES:
                    raise AgentError(f"{command[0]} printed more than {MAX_LINE_BYTES} bytes")
            if not in_time:
                raise self.connection.late(f"{command[0]} did not end within {timeout_s:g} s")
            if shell.is_lost:
                raise self.connection.lost(f"{command[0]} ran")
            return Completed(shell.exit_code, bytes(shell.stdout), bytes(shell.stderr), shell.signal)

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        shell = self.connection.start(f"exec {shlex.join(command)}")
        if not shell.send(stdin, self.connection.timeout_s):
            self.connection.end(shell)
            raise self.connection.lost(f"{command[0]} was sent its request")
        return AdbStream(self.connection, shell)

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        adb_files.push(self.connection, source, target, sha256)

    def pull(self, source: PurePosixPath, target: Path) -> None:
        adb_files.pull(self.connection, source, target)

    def close(self) -> None:
        self.connection.close()


class AdbStream(Stream):
    """A command on the device. Reading takes in standard error too, so that neither can block the other."""

    def __init__(self, connection: AdbConnection, shell: Shell) -> None:
        self._connection = connection
        self._shell = shell

    def write(self, data: bytes) -> None:
        if not self._shell.send_apart(data, self._connection.timeout_s):
            raise self._connection.lost("a command ran there")

    def read_line(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + (0.0 if self._connection.is_silent else timeout_s)

        def receive() -> bool:
            if self._shell.is_lost and not self._connection.is_closed:
                raise self._connection.lost("a command ran there")
            if self._shell.ended:
                return False
            if not self._shell.turn(deadline):
                if timeout_s <= 0:
                    raise CommandTimeout("nothing was said")  # who only looks does not want to wait
                raise self._connection.late(f"no answer within {timeout_s:g} s")
            return True

        return take_line(self._shell.stdout, receive)

    def close(self) -> Completed:
        self._shell.drain(time.monotonic() + END_S)
        self._connection.end(self._shell)
        return Completed(self._shell.exit_code, b"", bytes(self._shell.stderr), self._shell.signal)
