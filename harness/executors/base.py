"""The seam to whatever carries out the devices' tasks side by side, on this machine or another."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")  # a task, which can be pickled
M = TypeVar("M")  # what a task says while it is carried out, which can be pickled too


class Stop:
    """Says, once and for good, that all tasks are to end now. Another process has one of its own, set from there."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._guard = threading.Lock()
        self._calls: set[Callable[[], None]] = set()

    def set(self) -> None:
        """End everything: wake whoever waits, and make the calls that were asked for."""
        with self._guard:
            self._event.set()
            calls = tuple(self._calls)
        for call in calls:
            call()

    def is_set(self) -> bool:
        """Tell whether everything is to end."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait; return at once, and True, when everything is to end."""
        return self._event.wait(seconds)

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Have `call` made, by whichever thread says it, when everything is to end meanwhile."""
        with self._guard:
            self._calls.add(call)
        try:
            yield
        finally:
            with self._guard:
                self._calls.discard(call)


Work = Callable[[T, Callable[[M], None], Stop], None]
Sink = Callable[[T, M], None]


class Executor(ABC):
    """Carries out one task per device, many at a time."""

    @abstractmethod
    def run(self, tasks: Iterable[T], work: Work[T, M], sink: Sink[T, M], stop: Stop) -> None:
        """Carry out every task by `work(task, emit, stop)` and return when all are over.

        `emit(message)` returns when `sink(task, message)` has: the messages of one task are taken one by one and in
        their order, those of several side by side. What `sink` raises comes out of `emit`, where that can be. A task
        that raises ends alone; the first such error is raised when all are over. `work` is a function of a module,
        since another process has to find it. Raises KeyboardInterrupt after having set `stop` and waited.
        """
