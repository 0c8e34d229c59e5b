"""A command in an SSH session: its output line by line, its end, and what it leaves running."""

from __future__ import annotations

import secrets
import selectors
import shlex
import signal
import string
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from harness.errors import AgentError, CommandTimeout, ConnectError, TransportError
from harness.transports.base import MAX_LINE_BYTES, MAX_NOISE_BYTES, MAX_STDERR_BYTES, Completed, Stream, take_line
from harness.transports.ssh.connection import Connection
from harness.transports.ssh.login import FOREIGN

# How many of the device's time-outs a shell's profile may take before the command begins.
START_TIMEOUTS = 3
_CHUNK_BYTES = 1 << 20
_DRAIN_S = 0.5
# What paramiko puts into a packet; of more it copies the rest again for every packet.
_PACKET_BYTES = (1 << 15) - 64

# What no shell takes for anything else between quotes.
_PLAIN = frozenset(string.ascii_letters + string.digits + " %+,-./:=@_")


class SshStream(Stream):
    """A command in a session. Its output counts from a line that only its own shell can have printed.

    A profile, a banner or a forced command may print before that. The same line tells the process group, so that
    `close` can end what hangs.
    """

    def __init__(self, connection: Connection, command: Sequence[str]) -> None:
        self._first = connection
        self._marker = secrets.token_hex(12).encode()
        self._group: str | None = None
        self._buffer = bytearray()
        self._noise = bytearray()
        self._stderr = bytearray()
        self._ended: Completed | None = None
        self._connection, self._channel = connection.open_channel()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._channel.fileno(), selectors.EVENT_READ)
        try:
            self._channel.exec_command(_wrapped(command, self._marker.decode()))
        except FOREIGN as exc:
            self._channel.close()
            raise self._connection.error(exc) from exc

    @property
    def wants_input(self) -> bool:
        """Whether the command still reads; one that has ended says why on standard error."""
        return not (self._channel.closed or self._channel.exit_status_ready())

    def write(self, data: bytes) -> None:
        """Raise ConnectError when the device takes nothing any more."""
        try:
            for start in range(0, len(data), _PACKET_BYTES):
                self._channel.sendall(data[start : start + _PACKET_BYTES])
                if (start + _PACKET_BYTES) % _CHUNK_BYTES < _PACKET_BYTES:
                    # So much is not taken without the server making room again and again; a few bytes are.
                    self._connection.heard()
        except FOREIGN as exc:
            if isinstance(exc, TimeoutError):
                self._connection.lost = f"no byte could be sent for {self._connection.login.timeout_s:g} s"
                self._connection.close()
            if not self._connection.is_alive:
                raise self._connection.error(exc) from exc
            # The command ended without reading all of it: its exit code says why.

    def close_input(self) -> None:
        """Let the command see the end of its standard input."""
        with suppress(*FOREIGN):
            self._channel.shutdown_write()

    def read_line(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s
        if self._group is None:
            self._skip_noise(deadline, timeout_s)
        return self._next_line(deadline, timeout_s)

    def finish(self, timeout_s: float) -> Completed:
        """Close the input and wait for the end. Raises CommandTimeout, ConnectError, AgentError."""
        self.close_input()
        collected = bytearray()
        self.copy_to(collected.extend, MAX_LINE_BYTES, timeout_s)
        ended = self.close()
        return Completed(ended.exit_code, bytes(collected), ended.stderr, ended.signal)

    def copy_to(self, write: Callable[[bytes], object], limit: int, timeout_s: float | None = None) -> None:
        """Pass the rest of the output to `write`, at most `limit` bytes. Without `timeout_s` only a pause is bounded.

        Raises CommandTimeout, ConnectError, AgentError.
        """
        wait_s = timeout_s if timeout_s is not None else self._connection.login.timeout_s
        deadline = time.monotonic() + wait_s
        if self._group is None:
            self._skip_noise(deadline, wait_s)
        total = 0
        while True:
            total += len(self._buffer)
            if total > limit:
                raise AgentError(f"more than {limit} bytes of output")
            write(bytes(self._buffer))
            self._buffer.clear()
            if timeout_s is None:
                deadline = time.monotonic() + wait_s
            if not self._receive(deadline, wait_s):
                return

    def _skip_noise(self, deadline: float, timeout_s: float) -> None:
        """Read up to the marker. Raises ConnectError when the log-in shell does not get to it, CommandTimeout."""
        limit_s = START_TIMEOUTS * self._connection.login.timeout_s
        begun_by = time.monotonic() + limit_s
        while True:
            try:
                line = self._next_line(min(deadline, begun_by), timeout_s)
            except CommandTimeout as exc:
                if deadline < begun_by:
                    raise
                raise ConnectError(
                    f"{self._connection}: no command begins there within {limit_s:g} s; does its shell's profile wait "
                    "for input? A slow device wants a longer timeout_s"
                ) from exc
            if line is None:
                raise self._never_began()
            words = line.split()
            if len(words) == 3 and words[0] == self._marker and words[1].isdigit() and words[2].isdigit():
                # The group is ours to end only where the shell leads it.
                self._group = f"-{words[1].decode()}" if words[1] == words[2] else words[1].decode()
                return
            self._noise += line + b"\n"
            if len(self._noise) > MAX_NOISE_BYTES:
                raise AgentError(f"its shell printed more than {MAX_NOISE_BYTES} bytes before the command began")

    def _never_began(self) -> ConnectError:
        """Return the error for an account that runs no commands, or not in a shell."""
        lines = bytes(self._stderr or self._noise + self._buffer).decode("utf-8", "replace").strip().splitlines()
        said = "".join(character for character in "".join(lines[-1:])[:300] if character.isprintable())
        return ConnectError(
            f"{self._connection}: the command was not begun: {said or 'nothing was said'}; bench needs an account that "
            "may run commands in a shell (no ForceCommand in the way), with sh on its PATH"
        )

    def _next_line(self, deadline: float, timeout_s: float) -> bytes | None:
        return take_line(self._buffer, lambda: self._receive(deadline, timeout_s))

    def _receive(self, deadline: float, timeout_s: float) -> bool:
        """Wait for more output; False at its end. Raises CommandTimeout, ConnectError."""
        while True:
            self._drain_stderr()
            try:
                if self._channel.recv_ready() or self._channel.eof_received or self._channel.closed:
                    chunk = self._channel.recv(_CHUNK_BYTES)
                    if chunk:
                        self._connection.heard()
                        self._buffer += chunk
                        return True
                    return self._at_end(deadline)
            except FOREIGN as exc:
                raise self._connection.error(exc) from exc
            left = deadline - time.monotonic()
            if left <= 0:
                # Is it the command that is silent, or the device? A mere look (0 s) asks nothing.
                if timeout_s and not self._connection.answers():
                    raise self._connection.error()
                raise CommandTimeout(f"no answer within {timeout_s:g} s")
            self._selector.select(min(left, 1.0))

    def _at_end(self, deadline: float) -> bool:
        """The output is over: the command ended, or the connection did (ConnectError)."""
        while not self._channel.exit_status_ready() and self._connection.is_alive and time.monotonic() < deadline:
            self._channel.status_event.wait(0.1)
        self._drain_stderr()
        if self._channel.exit_status < 0 and not self._connection.is_alive:
            raise self._connection.error()
        return False

    def _drain_stderr(self) -> None:
        limit = time.monotonic() + _DRAIN_S  # a command that goes on and on keeps nobody here
        with suppress(*FOREIGN):
            while self._channel.recv_stderr_ready() and time.monotonic() < limit:
                self._stderr += self._channel.recv_stderr(_CHUNK_BYTES)
                del self._stderr[:-MAX_STDERR_BYTES]

    def close(self) -> Completed:
        if self._ended is None:
            # The agent exits right after its last line: give it the moment that takes.
            self._channel.status_event.wait(0.2)
            if self._channel.exit_status < 0 and self._connection.is_alive:
                self._kill()
            self._drain_stderr()
            code = self._channel.exit_status
            self._channel.close()
            self._selector.close()
            number = code - 128 if 128 < code < 128 + signal.NSIG else None
            self._ended = Completed(code if code >= 0 and number is None else None, b"", bytes(self._stderr), number)
        return self._ended

    def _kill(self) -> None:
        """End the command and whatever it started, as far as the device lets us."""
        if self._group is None:
            return
        with suppress(TransportError, *FOREIGN):
            _, channel = self._first.open_channel()
            channel.settimeout(2)
            # Where the shell leads no group, what it started: the command is its only child.
            child = f'$(grep -ls "^PPid:.{self._group}$" /proc/[0-9]*/status | tr -dc "0-9\\n")'
            channel.exec_command(f"exec sh -c 'kill -9 {self._group} {child}'")
            channel.status_event.wait(2)
            channel.close()
            self._channel.status_event.wait(1)


def _wrapped(command: Sequence[str], marker: str) -> str:
    """Return the command as the log-in shell gets it: `sh` prints the marker, its number and its group, then runs it.

    The command is a child of that shell, because a server says of a killed session only that it was killed. The log-in
    shell may be any: csh takes no line break between quotes, and has a use of its own for an exclamation mark.
    """
    script = (
        f"{{ read -r _ _ _ _ G _ </proc/$$/stat; }} 2>/dev/null; "
        f"printf '\\n%s %s %s\\n' {marker} $$ \"${{G:-0}}\"; {shlex.join(command)}; exit $?"
    )
    plain = "".join(
        chr(byte) if chr(byte) in _PLAIN else f"\\0{byte:03o}" for byte in script.encode("utf-8", "surrogateescape")
    )
    return f'exec sh -c \'eval "$(printf %b "{plain}")"\''
