"""The agent on a device: how it is started there, and jobs carried out by it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TypeVar

from harness.jobs.base import Ended, Event, Job, Terms
from harness.jobs.conversation import listen
from harness.link.manners import PATIENCE_S
from harness.transports import Stream, Transport

R = TypeVar("R")


@dataclass(frozen=True)
class Talk:
    """A conversation that is over: what was said, and how it ended."""

    events: list[Event]
    ended: Ended


@dataclass(frozen=True)
class AgentOnDevice:
    """How the agent is started on one device, held by the file `lock` where several hosts reach it."""

    transport: Transport
    command: Sequence[str]
    sha256: str
    patience_s: float = PATIENCE_S
    cores: tuple[int, ...] | None = None
    shield: bool = True
    critical_c: float | None = None
    lock: PurePosixPath | None = None

    def carry_out(self, job: Job[R]) -> R:
        """Have a job done and return its record. Raises TransportError: the device went away, or as the job says."""
        talk = self.talk(job)
        return job.record(talk.events, talk.ended)

    def talk(self, job: Job[R]) -> Talk:
        """Have a job done and return the whole conversation. Raises TransportError."""
        events = []
        talking = self.converse(job)
        while True:
            try:
                events.append(next(talking))
            except StopIteration as stop:
                return Talk(events, stop.value)

    def converse(self, job: Job[R]) -> Generator[Event, None, Ended]:
        """Have a job done and yield each event as it comes; returns how it ended. Raises TransportError."""
        started, begun = datetime.now(UTC), time.monotonic_ns()
        stream = self.start(job)
        try:
            yield from self.listen(stream, job)
        finally:
            completed = stream.close()
        return Ended(completed, self.command[0], started, time.monotonic_ns() - begun)

    def start(self, job: Job[R]) -> Stream:
        """Start the agent with a request, for whoever listens and closes it later. Raises ConnectError."""
        lock = str(self.lock) if self.lock else None
        terms = Terms(self.patience_s, self.cores, lock, self.shield, self.critical_c)
        return self.transport.stream(self.command, stdin=job.line(terms))

    def listen(self, stream: Stream, job: Job[R]) -> Iterator[Event]:
        """Yield what is said in a conversation that was started. Raises ConnectError."""
        return listen(stream, job, self.patience_s, self.sha256)
