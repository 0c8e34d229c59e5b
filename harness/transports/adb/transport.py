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

import contextlib
import re
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.errors import AgentError, CommandTimeout, ConnectError
from harness.transports.adb import files as adb_files
from harness.transports.adb.server import AdbServer
from harness.transports.adb.shell import Shell, service
from harness.transports.base import MAX_LINE_BYTES, Completed, Stream, Transport

KILL_S = 3.0
SETTLE_S = 5.0  # a device that was just plugged in or has just booted
END_S = 0.5  # the agent exits right after its last line: give it the moment that takes

_PASSING = ("offline", "authorizing", "connecting")


class AdbTransport(Transport):
    """An Android device (7 or newer) by its serial; without one, the only device that adb sees.

    A serial HOST:PORT is a device in the network and is connected to when need be. `adb` names the program that starts
    the server when none runs on `host` and `port` (default: where adb itself looks, this machine's port 5037 unless the
    environment says otherwise). `timeout_s` bounds every silence of the device: at the start of a command, in a
    transfer, and when it is asked whether it is still there.
    """

    def __init__(
        self,
        serial: str | None = None,
        host: str | None = None,
        port: int | None = None,
        *,
        adb: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        """Reach the device. Raises ConnectError, which says what to do."""
        self.timeout_s = timeout_s
        self.checks_by = "sha256"
        self._server = AdbServer.at(host, port)
        self._running: set[Shell] = set()
        self._guard = threading.Lock()
        self._closed = False
        self._silent = False  # it did not answer when it was asked, and no command was started since
        self._server.start(adb)
        self.serial = self._server.choose(serial)
        # A phone on a cable is this server's alone.
        self.shared = self._is_network or not self._server.is_local
        self.reach()
        if "shell_v2" not in self._server.features(self.serial):
            raise ConnectError(f"{self.serial} has Android 6 or older: its shell does not tell exit codes")

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        deadline = time.monotonic() + timeout_s
        with self.shell(f"exec {shlex.join(command)}") as shell:
            in_time = shell.send(stdin, timeout_s) and shell.close_stdin(timeout_s)
            while in_time and not shell.ended:
                in_time = shell.turn(deadline)
                if len(shell.stdout) > MAX_LINE_BYTES:
                    raise AgentError(f"{command[0]} printed more than {MAX_LINE_BYTES} bytes")
            if not in_time:
                raise self.late(f"{command[0]} did not end within {timeout_s:g} s")
            if shell.is_lost:
                raise self.lost(f"{command[0]} ran")
            return Completed(shell.exit_code, bytes(shell.stdout), bytes(shell.stderr), shell.signal)

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        shell = self.start(f"exec {shlex.join(command)}")
        if not shell.send(stdin, self.timeout_s):
            self.end(shell)
            raise self.lost(f"{command[0]} was sent its request")
        return AdbStream(self, shell)

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        adb_files.push(self, source, target, sha256)

    def pull(self, source: PurePosixPath, target: Path) -> None:
        adb_files.pull(self, source, target)

    def close(self) -> None:
        """End what still runs; whoever reads from it sees the end of the output."""
        with self._guard:
            self._closed = True
            running = list(self._running)
        for shell in running:
            self._kill(shell)
            shell.cut()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def is_silent(self) -> bool:
        """Whether the device did not answer: another wait for it would only add up."""
        return self._silent

    @property
    def _is_network(self) -> bool:
        return re.search(r":\d+$", self.serial) is not None

    def reach(self) -> None:
        """Wait a little for the device to be there; connect to one in the network. Raises ConnectError."""
        deadline = time.monotonic() + SETTLE_S
        # Twice: the server may be about to forget the connection that broke just when it is asked for a new one.
        tries = 2 if self._is_network else 0
        while reason := self._server.explain(self.serial):
            state = self._server.devices().get(self.serial)
            if tries and state in (None, "offline") and time.monotonic() < deadline:
                tries -= 1
                self._server.connect(self.serial)
            elif state not in _PASSING or time.monotonic() >= deadline:
                raise ConnectError(reason)
            time.sleep(0.1)

    def start(self, line: str) -> Shell:
        """Start a line of the device's shell and wait until it runs. Raises ConnectError."""
        if self._closed:
            raise ConnectError(f"the connection to {self.serial} is closed")
        try:
            connection = self._server.open(self.serial, service(line), self.timeout_s)
        except ConnectError as exc:
            if isinstance(exc.__cause__, TimeoutError):
                # The server holds on to a connection that is dead even when the device would take a new one.
                self._server.reconnect(self.serial)
            self.reach()  # it may be back after a reboot, or says why it is not
            connection = self._server.open(self.serial, service(line), self.timeout_s)
        shell = Shell(connection)
        with self._guard:
            self._running.add(shell)
        deadline = time.monotonic() + self.timeout_s
        while shell.pid is None:
            if shell.ended or not shell.turn(deadline):
                self.end(shell)
                raise self.lost("a command was started")
        self._silent = False
        return shell

    @contextlib.contextmanager
    def shell(self, line: str) -> Iterator[Shell]:
        """Start a line of the device's shell; whatever still runs in the end is killed. Raises ConnectError."""
        shell = self.start(line)
        try:
            yield shell
        finally:
            self.end(shell)

    def end(self, shell: Shell) -> None:
        """Kill the command with everything it started if it still runs. Idempotent."""
        with self._guard:
            is_ours = shell in self._running
            self._running.discard(shell)
        if is_ours:
            self._kill(shell)
            deadline = time.monotonic() + END_S
            while not shell.ended and shell.turn(deadline):
                shell.stdout.clear()
            shell.close()

    def _kill(self, shell: Shell) -> None:
        """Kill the command's process group: the daemon itself would hang up on its first process only."""
        # After a lost connection the number may be another process's by now, on a device that has rebooted.
        if shell.ended or shell.pid is None or self._silent:
            return
        with contextlib.suppress(ConnectError):
            self._ask(f"kill -s KILL -- -{shell.pid} 2>/dev/null || kill -s KILL {shell.pid}", KILL_S)

    def _ask(self, line: str, timeout_s: float) -> bool:
        """Run a line of the device's shell; tell whether it ended in time. Raises ConnectError."""
        shell = Shell(self._server.open(self.serial, service(line, shows_pid=False), timeout_s))
        deadline = time.monotonic() + timeout_s
        try:
            while not shell.ended:
                if not shell.turn(deadline):
                    return False
            return not shell.is_lost
        finally:
            shell.close()

    def answers(self) -> bool:
        """Tell whether the device itself answers, not only the adb server for it. One that does not is asked once."""
        answered = False
        with contextlib.suppress(ConnectError):
            answered = not self._silent and self._ask("true", self.timeout_s)
        self._silent = not answered
        return answered

    def late(self, message: str) -> CommandTimeout | ConnectError:
        """Return the error for a command that takes too long: its own fault, or that of a device that is gone."""
        return CommandTimeout(message) if self.answers() else self.lost("a command ran there")

    def lost(self, when: str) -> ConnectError:
        """Return the error for a device that went away, with what is to be done about it."""
        if self._closed:
            return ConnectError(f"the connection to {self.serial} was closed")
        try:
            now = self._server.explain(self.serial)
        except ConnectError as exc:
            now = str(exc)
        if not now:
            now = "it is there again" if self.answers() else "adb sees it, but it does not answer: restart it"
        return ConnectError(f"{self.serial} went away while {when}; now: {now}")


class AdbStream(Stream):
    """A command on the device. Reading takes in standard error too, so that neither can block the other."""

    def __init__(self, transport: AdbTransport, shell: Shell) -> None:
        self._transport = transport
        self._shell = shell
        self._searched = 0

    def write(self, data: bytes) -> None:
        if not self._shell.send_apart(data, self._transport.timeout_s):
            raise self._transport.lost("a command ran there")

    def read_line(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + (0.0 if self._transport.is_silent else timeout_s)
        buffer = self._shell.stdout
        while (end := buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(buffer)
            if self._searched > MAX_LINE_BYTES:
                raise AgentError(f"a line longer than {MAX_LINE_BYTES} bytes")
            if self._shell.is_lost and not self._transport.is_closed:
                raise self._transport.lost("a command ran there")
            if self._shell.ended:
                return None  # an unfinished last line is not a line
            if not self._shell.turn(deadline):
                if timeout_s <= 0:
                    raise CommandTimeout("nothing was said")  # who only looks does not want to wait
                raise self._transport.late(f"no answer within {timeout_s:g} s")
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line

    def close(self) -> Completed:
        deadline = time.monotonic() + END_S
        while not self._shell.ended and self._shell.turn(deadline):
            self._shell.stdout.clear()
        self._transport.end(self._shell)
        return Completed(self._shell.exit_code, b"", bytes(self._shell.stderr), self._shell.signal)
