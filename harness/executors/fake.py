"""Everything at once, in the caller: for tests that want no threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from harness.executors.base import Executor


class FakeExecutor(Executor):
    """Runs the work inside `submit`."""

    def submit(self, device: str, work: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - a future carries whatever was raised
            future.set_exception(exc)
        else:
            future.set_result(None)
        return future

    def close(self) -> None:
        pass
