"""One thread per device on this machine; the threads only wait for their devices."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from harness.executors.base import Executor


class LocalExecutor(Executor):
    """Keeps the work of one device in order by giving each device a thread of its own."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}

    def submit(self, device: str, work: Callable[[], None]) -> Future[None]:
        if device not in self._threads:
            self._threads[device] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"device-{device}")
        return self._threads[device].submit(work)

    def close(self) -> None:
        for pool in self._threads.values():
            pool.shutdown(wait=True, cancel_futures=True)
