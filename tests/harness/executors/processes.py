"""An executor like those that reach other machines: each task is pickled, and carried out in a process of its own."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any

from harness.executors.base import Executor, M, Sink, Stop, T, Work

_SPAWN = multiprocessing.get_context("spawn")


class ProcessExecutor(Executor):
    """Messages come back through a queue, and each is answered when it is taken."""

    def run(self, tasks: Iterable[T], work: Work[T, M], sink: Sink[T, M], stop: Stop) -> None:
        ending = _SPAWN.Event()
        with stop.calling(ending.set), ThreadPoolExecutor() as threads:
            futures = [threads.submit(_follow, task, work, sink, ending) for task in tasks]
        for future in futures:
            future.result()


def _follow(task: T, work: Work[T, M], sink: Sink[T, M], ending: Event) -> None:
    said: Queue[tuple[str, Any]] = _SPAWN.Queue()
    taken: Queue[Exception | None] = _SPAWN.Queue()
    process: BaseProcess = _SPAWN.Process(target=_carry_out, args=(pickle.dumps((work, task)), said, taken, ending))
    process.start()
    while True:
        kind, content = said.get(timeout=120)
        if kind == "ended":
            break
        try:
            sink(task, content)
        except Exception as exc:  # noqa: BLE001 - the task shall know
            taken.put(exc)
        else:
            taken.put(None)
    process.join()
    if content is not None:
        raise content


def _carry_out(pickled: bytes, said: Queue[tuple[str, Any]], taken: Queue[Exception | None], ending: Event) -> None:
    work, task = pickle.loads(pickled)  # noqa: S301 - our own
    stop = Stop()

    def follow() -> None:
        ending.wait()
        stop.set()

    def emit(message: Any) -> None:
        said.put(("message", message))
        refused = taken.get()
        if refused is not None:
            raise refused

    threading.Thread(target=follow, daemon=True).start()
    error = None
    try:
        work(task, emit, stop)
    except Exception as exc:  # noqa: BLE001 - told to whoever waits
        error = exc
    said.put(("ended", error))
