"""A phone that is there: starting commands on it, ending them, and saying why it went away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from harness.errors import AgentError, CommandTimeout, ConnectError
from harness.transports.adb.server import AdbServer, is_network
from harness.transports.adb.shell import Shell, service
from harness.transports.base import MAX_NOISE_BYTES

KILL_S = 3.0
SETTLE_S = 5.0  # a device that was just plugged in or has just booted
END_S = 0.5  # the agent exits right after its last line: give it the moment that takes

_PASSING = ("offline", "authorizing", "connecting")


class AdbConnection:
    """The device with this serial, or the only one that adb sees; see `AdbTransport`."""

    def __init__(self, server: AdbServer, serial: str | None, timeout_s: float) -> None:
        """Reach the device. Raises ConnectError, which says what to do."""
        self.timeout_s = timeout_s
        self._server = server
        self._running: set[Shell] = set()
        self._guard = threading.Lock()
        self.is_closed = False
        # It did not answer when it was asked, and no command was started since: another wait would only add up.
        self.is_silent = False
        self.checks_by = "sha256"  # what the last push was compared by
        self.serial = server.choose(serial)
        self.reach()
        if "shell_v2" not in self._features():
            raise ConnectError(f"{self.serial} has Android 6 or older: its shell does not tell exit codes")

    def close(self) -> None:
        """End what still runs; whoever reads from it sees the end of the output."""
        with self._guard:
            self.is_closed = True
            running = list(self._running)
        for shell in running:
            self._kill(shell)
            shell.cut()

    def reach(self) -> None:
        """Wait a little for the device to be there; connect to one in the network. Raises ConnectError."""
        deadline = time.monotonic() + SETTLE_S
        # Twice: the server may be about to forget the connection that broke just when it is asked for a new one.
        tries = 2 if is_network(self.serial) else 0
        while reason := self._server.explain(self.serial):
            state = self._server.devices().get(self.serial)
            if tries and state in (None, "offline") and time.monotonic() < deadline:
                tries -= 1
                self._server.connect(self.serial)
            elif state not in _PASSING or time.monotonic() >= deadline:
                raise ConnectError(reason)
            time.sleep(0.1)

    def _features(self) -> frozenset[str]:
        try:
            return self._server.features(self.serial)
        except ConnectError:
            self.reach()  # it went away between the two questions: say why it did, or connect to it anew
            return self._server.features(self.serial)

    def start(self, line: str) -> Shell:
        """Start a line of the device's shell and wait until it runs. Raises ConnectError."""
        if self.is_closed:
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
            if len(shell.stdout) > MAX_NOISE_BYTES:
                self.end(shell)
                raise AgentError(f"its shell printed more than {MAX_NOISE_BYTES} bytes before the command began")
            if shell.ended or not shell.turn(deadline):
                self.end(shell)
                raise self.lost("a command was started")
        self.is_silent = False
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
            shell.drain(time.monotonic() + END_S)
            shell.close()

    def _kill(self, shell: Shell) -> None:
        """Kill the command's process group: the daemon itself would hang up on its first process only."""
        # After a lost connection the number may be another process's by now, on a device that has rebooted.
        if shell.ended or shell.pid is None or self.is_silent:
            return
        with contextlib.suppress(ConnectError):
            self._ask(f"kill -s KILL -- -{shell.pid} 2>/dev/null || kill -s KILL {shell.pid}", KILL_S)

    def _ask(self, line: str, timeout_s: float) -> bool:
        """Run a line of the device's shell; tell whether it ended in time. Raises ConnectError."""
        shell = Shell(self._server.open(self.serial, service(line, shows_pid=False), timeout_s))
        try:
            return shell.drain(time.monotonic() + timeout_s) and not shell.is_lost
        finally:
            shell.close()

    def answers(self) -> bool:
        """Tell whether the device itself answers, not only the adb server for it. One that does not is asked once."""
        answered = False
        with contextlib.suppress(ConnectError):
            answered = not self.is_silent and self._ask("true", self.timeout_s)
        self.is_silent = not answered
        return answered

    def late(self, message: str) -> CommandTimeout | ConnectError:
        """Return the error for a command that takes too long: its own fault, or that of a device that is gone."""
        return CommandTimeout(message) if self.answers() else self.lost("a command ran there")

    def lost(self, when: str) -> ConnectError:
        """Return the error for a device that went away, with what is to be done about it."""
        if self.is_closed:
            return ConnectError(f"the connection to {self.serial} was closed")
        try:
            now = self._server.explain(self.serial)
        except ConnectError as exc:
            now = str(exc)
        if not now:
            now = "it is there again" if self.answers() else "adb sees it, but it does not answer: restart it"
        return ConnectError(f"{self.serial} went away while {when}; now: {now}")
