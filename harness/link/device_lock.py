"""One host at a time on a device that several can reach: an flock'ed file there, held by a process of the agent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import PurePosixPath

from harness.errors import AgentError, CommandTimeout, ConnectError, DeviceBusy, TransportError
from harness.jobs.base import Ended, Failure, why
from harness.jobs.hold import Busy, Hold
from harness.link.agent import AgentOnDevice
from harness.transports import Stream
from harness.transports.base import unwritable

# The device gives the lock back when its holder was not heard of for this many of the device's time-outs.
LEASE_TIMEOUTS = 3


@dataclass
class DeviceLock:
    """Held from `acquire` to `release`. A host that dies or is cut off holds it no longer than the lease."""

    agent: AgentOnDevice
    path: PurePosixPath
    reason: str
    token: str
    timeout_s: float
    _stream: Stream | None = field(default=None, init=False)
    _released: threading.Event = field(default_factory=threading.Event, init=False)

    @property
    def _lease_s(self) -> float:
        return LEASE_TIMEOUTS * self.timeout_s

    def acquire(self, name: str, wait_s: float, say: Callable[[str], None]) -> None:
        """Wait for the device at most `wait_s`; `say` is told once who has it. Raises DeviceBusy, TransportError."""
        job = Hold(self.path, f"{self.reason} ({_me()})", self.token, wait_s, self._lease_s)
        stream = self.agent.start(job)
        busy = ""
        try:
            for event in self.agent.listen(stream, job):
                if isinstance(event, Failure) and not (busy and event.kind == "silent"):
                    raise self._not_taken(event, stream)
                if isinstance(event, Failure) or (isinstance(event, Busy) and event.over):
                    busy = _in_use(name, event) if isinstance(event, Busy) else busy
                    raise DeviceBusy(f"{busy}; gave up after {wait_s:g} s, see --wait")
                if isinstance(event, Busy) and not busy:
                    busy = _in_use(name, event)
                    say(busy)
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        threading.Thread(target=self._renew, args=(stream,), name=f"lease-{name}", daemon=True).start()

    def check(self) -> None:
        """Raise ConnectError when the device has given the lock back."""
        if self._stream is None:
            return
        with suppress(CommandTimeout):  # silence is how a held lock sounds
            if self._stream.read_line(0.0) is None:
                raise ConnectError("the device's lock was lost: this host was not heard of for too long")

    def release(self) -> None:
        """Give the device back and wait until its holder has let it go, which `close` would kill. Idempotent."""
        self._released.set()
        if self._stream is not None:
            with suppress(TransportError):
                self._stream.write(b"end\n")
                self._stream.read_line(self.timeout_s)  # it says nothing more, and ends
            self._stream.close()
            self._stream = None

    def _renew(self, stream: Stream) -> None:
        with suppress(TransportError):
            while not self._released.wait(self._lease_s / 4):
                stream.write(b"\n")

    def _not_taken(self, failure: Failure, stream: Stream) -> TransportError:
        what = f"the device's lock {self.path} cannot be taken"
        if failure.kind == "ended":
            ended = Ended(stream.close(), self.agent.command[0])
            return AgentError(f"the agent does not work there: {why(failure, ended)}")
        return unwritable(what, failure.message) or AgentError(f"{what}: {failure.message}")


def _in_use(name: str, busy: Busy) -> str:
    return f"device {name} is in use by {busy.owner}{since(busy.held_s)}"


def since(held_s: float | None) -> str:
    """Say since when by this host's clock, however long the holder is said to have it already."""
    if held_s is None:
        return ""
    return time.strftime(" since %Y-%m-%d %H:%M:%S", time.localtime(max(0.0, time.time() - held_s)))


def _me() -> str:
    try:
        user = getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user} at {socket.gethostname()}"
