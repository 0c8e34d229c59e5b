"""A thread per device on this machine, up to a bound; the threads only wait for their devices."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from harness.executors.base import Executor, M, Sink, Stop, T, Work

# More devices than this take turns, in the order they were named. Each takes a connection, a lock and a journal, and a
# process may open 1,024 files on most systems.
SIDE_BY_SIDE = 128


class LocalExecutor(Executor):
    """A pool of threads. `side_by_side` bounds how many tasks are carried out at once; any number may wait."""

    def __init__(self, side_by_side: int = SIDE_BY_SIDE) -> None:
        self._side_by_side = side_by_side

    def run(self, tasks: Iterable[T], work: Work[T, M], sink: Sink[T, M], stop: Stop) -> None:
        with ThreadPoolExecutor(self._side_by_side, thread_name_prefix="device") as pool:
            try:
                futures = [pool.submit(work, task, partial(sink, task), stop) for task in tasks]
                wait(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stop.set()
                raise
        for future in futures:
            future.result()
