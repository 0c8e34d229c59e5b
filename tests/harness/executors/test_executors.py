"""One contract for every executor."""

from __future__ import annotations

import threading

import pytest

from harness.executors.base import Executor
from harness.executors.fake import FakeExecutor
from harness.executors.local import LocalExecutor


@pytest.fixture(params=[FakeExecutor, LocalExecutor])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: Executor = request.param()
    return made


def test_all_work_is_done_when_it_is_closed(executor: Executor) -> None:
    done: list[int] = []
    futures = [executor.submit(f"device-{number}", lambda number=number: done.append(number)) for number in range(5)]
    for future in futures:
        assert future.result(60) is None
    executor.close()
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_an_error_is_that_of_its_device_alone(executor: Executor) -> None:
    bad = executor.submit("bad", lambda: {}["missing"])
    good = executor.submit("good", lambda: None)
    with pytest.raises(KeyError, match="missing"):
        bad.result(60)
    good.result(60)
    executor.close()


def test_devices_work_side_by_side() -> None:
    executor, meeting = LocalExecutor(), threading.Barrier(2, timeout=60)
    futures = [executor.submit(name, lambda: meeting.wait() and None) for name in ("one", "other")]
    for future in futures:
        future.result(60)
    executor.close()


def test_two_pieces_of_work_on_one_device_never_meet(executor: Executor) -> None:
    order: list[str] = []
    free = threading.Event()

    def first() -> None:
        order.append("begun")
        free.wait(0.2)
        order.append("ended")

    futures = [executor.submit("device", first), executor.submit("device", lambda: order.append("second"))]
    for future in futures:
        future.result(60)
    executor.close()
    assert order == ["begun", "ended", "second"]
