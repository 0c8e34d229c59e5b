"""One command on a device: adb's shell protocol, version 2, with standard streams and exit code each apart.

A frame is a kind, a length and that many bytes. The exit code comes from the device's adb daemon, after everything the
command printed; a connection that ends without it was lost. Nothing here waits longer than it is told to.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import struct
import threading
import time

from harness.transports.adb.server import acknowledge
from harness.transports.base import MAX_STDERR_BYTES

_FRAME = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_CHUNK = 1 << 20
_LATE_S = 0.5

# The first thing a command whose service shows it prints to standard error: the number of its process.
_SHOWN = re.compile(rb"^edgebench:(\d{1,9})\n", re.MULTILINE)

# Signals are reported as shells do, as 128 and their number.
_FIRST_SIGNAL, _LAST_SIGNAL = 129, 192


def service(line: str, *, shows_pid: bool = True) -> str:
    """Return the name of the service that runs a line of the device's shell."""
    return f"shell,v2,raw:{'echo edgebench:$$ >&2; ' if shows_pid else ''}{line}"


class Shell:
    """A running command. Only the thread that works with it may call anything but `cut` and `send_apart`.

    `pid` is known once the command runs, if its service shows it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.ended = False
        self.pid: int | None = None
        self._status: int | None = None
        self._connection = connection
        self._connection.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._apart = threading.Lock()
        self._outgoing = memoryview(b"")
        self._header = bytearray()
        self._kind, self._left = -1, 0

    @property
    def exit_code(self) -> int | None:
        """The command's exit code; None when a signal ended it or its end was not seen."""
        return None if self._status is None or _FIRST_SIGNAL <= self._status <= _LAST_SIGNAL else self._status

    @property
    def signal(self) -> int | None:
        """The signal that ended the command, if one did."""
        return self._status - 128 if self._status is not None and self.exit_code is None else None

    @property
    def is_lost(self) -> bool:
        """Whether the connection ended before the command did."""
        return self.ended and self._status is None

    def send(self, content: bytes, timeout_s: float) -> bool:
        """Write to standard input. False when nothing moves for `timeout_s`; True too when the command has ended."""
        for start in range(0, len(content), _CHUNK):
            chunk = content[start : start + _CHUNK]
            if not self._write(_FRAME.pack(_STDIN, len(chunk)) + chunk, timeout_s):
                return False
        return True

    def close_stdin(self, timeout_s: float) -> bool:
        """Let the command see the end of its standard input. Returns like `send`."""
        return self._write(_FRAME.pack(_CLOSE_STDIN, 0), timeout_s)

    def send_apart(self, content: bytes, timeout_s: float) -> bool:
        """Write a few bytes to standard input while another thread reads. Returns like `send`."""
        rest = memoryview(_FRAME.pack(_STDIN, len(content)) + content)
        deadline = time.monotonic() + timeout_s
        with self._apart, contextlib.suppress(OSError, ValueError):  # closed meanwhile: as good as ended
            while rest:
                try:
                    rest = rest[self._connection.send(rest) :]
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        return False
                    time.sleep(0.01)
        return True

    def _write(self, frame: bytes, timeout_s: float) -> bool:
        self._outgoing = memoryview(frame)
        self._selector.modify(self._connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        deadline, left = time.monotonic() + timeout_s, len(frame)
        try:
            while self._outgoing and not self.ended:
                if not self.turn(deadline):
                    return False
                if len(self._outgoing) < left:  # not for what the device says meanwhile
                    deadline, left = time.monotonic() + timeout_s, len(self._outgoing)
        finally:
            self._selector.modify(self._connection, selectors.EVENT_READ)
        return True

    def turn(self, deadline: float) -> bool:
        """Take in what the device sends, and send what it takes; False when neither happened by the deadline.

        What has come is still taken in right after it, but a device that goes on and on changes no deadline.
        """
        left = deadline - time.monotonic()
        if left < -_LATE_S or not (ready := self._selector.select(max(0.0, left))):
            return False
        _, events = ready[0]
        try:
            if events & selectors.EVENT_READ:
                self._take(self._connection.recv(_CHUNK))
                acknowledge(self._connection)
            if events & selectors.EVENT_WRITE:
                self._outgoing = self._outgoing[self._connection.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        return True

    def drain(self, deadline: float) -> bool:
        """Pass over what the command still prints, up to its end; False when that does not come by the deadline."""
        while not self.ended:
            self.stdout.clear()
            if not self.turn(deadline):
                return False
        return True

    def _take(self, content: bytes) -> None:
        """Split what came into frames; a frame's content is passed on as it comes, whatever length it claims."""
        if not content:
            self.ended = True
        rest = memoryview(content)
        while rest and not self.ended:
            if not self._left:
                missing = _FRAME.size - len(self._header)
                self._header += rest[:missing]
                rest = rest[missing:]
                if len(self._header) == _FRAME.size:
                    self._kind, self._left = _FRAME.unpack(self._header)
                    self._header.clear()
                continue
            part, rest = rest[: self._left], rest[self._left :]
            self._left -= len(part)
            if self._kind == _STDOUT:
                self.stdout += part
            elif self._kind == _STDERR:
                self._take_stderr(part)
            elif self._kind == _EXIT:
                self._status = part[0]
                self.ended = True

    def _take_stderr(self, part: memoryview) -> None:
        self.stderr += part
        if self.pid is None and (shown := _SHOWN.search(self.stderr)):
            self.pid = int(shown[1])
            del self.stderr[: shown.end()]
        del self.stderr[:-MAX_STDERR_BYTES]

    def cut(self) -> None:
        """End the connection; another thread that waits here sees the end at once."""
        with contextlib.suppress(OSError):  # it is closed already
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection back. The device's daemon closes the command's standard input. Idempotent."""
        self.ended = True
        self._selector.close()
        self._connection.close()
