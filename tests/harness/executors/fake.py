"""One task after the other, in the caller: for tests that want no threads."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from harness.executors.base import Executor, M, Sink, Stop, T, Work


class FakeExecutor(Executor):
    """Carries out the tasks inside `run`."""

    def run(self, tasks: Iterable[T], work: Work[T, M], sink: Sink[T, M], stop: Stop) -> None:
        errors = []
        for task in tasks:
            try:
                work(task, partial(sink, task), stop)
            except Exception as exc:  # noqa: BLE001 - whatever a task raises is told when all are over
                errors.append(exc)
            except BaseException:
                stop.set()
                raise
        if errors:
            raise errors[0]
