"""Driving worker processes from the program that needs their artifacts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from models.errors import ModelError, UnknownModel
from models.export import recipe
from models.export.limits import Limits, memory_of
from models.export.orders import Event, Order

_PYTHON = (sys.executable, "-P", "-m")
_COMMAND = (*_PYTHON, "models.export.worker")
_MAX_LINE = 2**20
_GLANCE_S = 0.1  # memory is taken by a few GB a second at most


def library_names(library: str, pattern: str) -> list[str]:
    """The image classifiers of a library that match, told by a process of its own. Raises ModelError if none does."""
    asked = f"{library}:{pattern}"
    if recipe.library_versions(library) is None:
        raise ModelError(f"{asked}: {library} is not installed; pip install {library}")
    command = (*_PYTHON, "models.export.library", library, pattern)
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or [f"the process {_ending(done.returncode)}"])[-1][:400]
        raise ModelError(f"{asked}: {library} cannot be asked for its names: {reason}")
    names: list[str] = json.loads(lines[-1])
    if not names:
        raise UnknownModel(f"{asked}: no image classifier of {library} matches")
    return names


class Workers:
    """The worker processes that run now, so that all of them can be ended at once and are held within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, order: Order, on_event: Callable[[Event], None]) -> str:
        """Have one order carried out; return nothing, or in words why the worker did not come to its end."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
            worker = self._start(noise)
            if worker is None:
                return "interrupted"
            exceeded: list[str] = []
            ended = threading.Event()
            watch = threading.Thread(target=self._watch, args=(worker, ended, exceeded), daemon=True)
            watch.start()
            try:
                _converse(worker, order, on_event)
                status = worker.wait()
            finally:
                _kill(worker)
                worker.wait()
                ended.set()
                watch.join()
                _close(worker)
                with self._lock:
                    self._running.discard(worker)
            if exceeded:
                return exceeded[0]
            return "" if status == 0 else f"its worker process {_ending(status)}{_last_lines(noise)}"

    def _watch(self, worker: subprocess.Popen[str], ended: threading.Event, exceeded: list[str]) -> None:
        """Kill the worker when its time is over, or when it has most of the memory of which all have too much."""
        end = time.monotonic() + self._limits.seconds
        while not ended.wait(_GLANCE_S):
            if time.monotonic() > end:
                exceeded.append(self._limits.time_exceeded)
            elif self._takes_too_much(worker):
                exceeded.append(self._limits.memory_exceeded)
            if exceeded:
                _kill(worker)
                return

    def _takes_too_much(self, worker: subprocess.Popen[str]) -> bool:
        with self._lock:
            taken = {other.pid: memory_of(other.pid) for other in self._running}
        return sum(taken.values()) > self._limits.memory_bytes and taken.get(worker.pid) == max(taken.values())

    def stop(self) -> None:
        """Kill every worker and whatever it has started; none starts afterwards."""
        with self._lock:
            self._stopped = True
            for worker in self._running:
                _kill(worker)

    def _start(self, noise: IO[str]) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stopped:
                return None
            worker = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                env=_environment(),
            )
            self._running.add(worker)
            return worker


def _environment() -> dict[str, str]:
    """The package is found where this one is, installed or not; `-P` keeps a user's folder `models/` out."""
    root = str(Path(__file__).parent.parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _converse(worker: subprocess.Popen[str], order: Order, on_event: Callable[[Event], None]) -> None:
    assert worker.stdin is not None  # noqa: S101 - both are pipes
    assert worker.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        worker.stdin.write(order.model_dump_json() + "\n")
        worker.stdin.flush()  # and left open: the worker takes its end for ours
    with worker.stdout:
        while line := worker.stdout.readline(_MAX_LINE):
            with suppress(ValidationError):  # a stray line is no event
                on_event(Event.model_validate_json(line))


def _close(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None  # noqa: S101 - it is a pipe
    with suppress(BrokenPipeError):
        worker.stdin.close()


def _kill(worker: subprocess.Popen[str]) -> None:
    """Kill the worker's whole process group, unless it has ended (its number may be another's by then)."""
    if worker.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    if -status == signal.SIGKILL:
        return "was killed, most likely because the memory ran out"
    try:
        return f"crashed ({signal.Signals(-status).name})"
    except ValueError:
        return f"was ended by signal {-status}"


def _last_lines(noise: IO[str], count: int = 3, limit: int = 400) -> str:
    noise.seek(0, os.SEEK_END)
    noise.seek(max(0, noise.tell() - 8192))
    lines = [line.strip() for line in noise.read().splitlines() if line.strip()]
    text = " / ".join(lines[-count:])
    return f": {text[-limit:]}" if text else ""
