"""One contract for every executor, also for one that carries tasks out in other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from itertools import count

import pytest

from harness.executors.base import Executor, Stop
from harness.executors.local import LocalExecutor
from tests.harness.executors.fake import FakeExecutor
from tests.harness.executors.processes import ProcessExecutor
from tests.rigs.bench import ROOT

Emit = Callable[[object], None]


@pytest.fixture(params=[FakeExecutor, LocalExecutor, ProcessExecutor])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: Executor = request.param()
    return made


def say_thrice(task: str, emit: Emit, _stop: Stop) -> None:
    for number in range(3):
        emit((task, number))


def fail_if_bad(task: str, emit: Emit, _stop: Stop) -> None:
    if task == "bad":
        raise KeyError("missing")
    emit(task)


def never_mind_and_go_on(_task: str, emit: Emit, _stop: Stop) -> None:
    try:
        emit("refused")
    except OSError as exc:
        emit(f"heard: {exc}")
    raise RuntimeError("a task's own")


def until_stopped(_task: str, emit: Emit, stop: Stop) -> None:
    closed = threading.Event()
    with stop.calling(closed.set):
        emit("waiting")
        emit((stop.wait(120), closed.wait(120), stop.is_set()))


def test_all_is_done_and_said_in_order_when_it_returns(executor: Executor) -> None:
    said = defaultdict(list)
    tasks = [f"device-{number}" for number in range(5)]
    executor.run(tasks, say_thrice, lambda task, message: said[task].append(message), Stop())
    assert said == {task: [(task, 0), (task, 1), (task, 2)] for task in tasks}


def test_nothing_to_do(executor: Executor) -> None:
    executor.run([], say_thrice, lambda _task, _message: None, Stop())


def test_an_error_is_that_of_its_device_alone(executor: Executor) -> None:
    said: list[object] = []
    with pytest.raises(KeyError, match="missing"):
        executor.run(["bad", "good"], fail_if_bad, lambda _task, message: said.append(message), Stop())
    assert said == ["good"]


def test_a_message_that_cannot_be_taken_is_told_to_the_task(executor: Executor) -> None:
    said: list[object] = []

    def sink(_task: str, message: object) -> None:
        if message == "refused":
            raise OSError("no room")
        said.append(message)

    with pytest.raises(RuntimeError, match="a task's own"):
        executor.run(["device"], never_mind_and_go_on, sink, Stop())
    assert said == ["heard: no room"]


def test_a_stop_wakes_whoever_waits_and_makes_the_calls_asked_for(executor: Executor) -> None:
    stop, said = Stop(), []

    def sink(_task: str, message: object) -> None:
        said.append(message)
        stop.set()

    executor.run(["device"], until_stopped, sink, stop)
    assert said == ["waiting", (True, True, True)]


@pytest.mark.parametrize("executor", [LocalExecutor()])
def test_devices_work_side_by_side(executor: Executor) -> None:
    meeting = threading.Barrier(2, timeout=60)
    executor.run(["one", "other"], say_thrice, lambda _task, _message: meeting.wait() and None, Stop())


def test_no_more_than_the_bound_work_and_any_number_wait() -> None:
    guard, numbers = threading.Lock(), count(1)
    working, most, done = 0, 0, []

    def work(task: int, emit: Emit, stop: Stop) -> None:
        nonlocal working, most
        with guard:
            working += 1
            most = max(most, working)
        stop.wait(0.001)
        with guard:
            working -= 1
        emit(next(numbers))

    LocalExecutor(side_by_side=7).run(range(500), work, lambda task, _message: done.append(task), Stop())
    assert sorted(done) == list(range(500))
    assert most <= 7


def interrupted() -> None:
    """Be interrupted while a task works: the test's process is another, which no interrupt shall reach late."""
    stop, said = Stop(), []

    def sink(task: str, message: object) -> None:
        said.append((task, message))
        if message == "waiting":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(side_by_side=1).run(["works", "waits"], until_stopped, sink, stop)
    assert stop.is_set()
    assert said[0] == ("works", "waiting")
    assert all(task == "works" for task, _ in said)


def test_an_interrupt_stops_what_works_and_drops_what_waits() -> None:
    call = f"from {__name__} import interrupted; interrupted()"
    done = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
