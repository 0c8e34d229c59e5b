"""`python -m models.worker`: does one job, a line of JSON on stdin, and reports events as JSON lines on stdout.

A process of its own because converters crash, print, leak memory and change global state; none of that reaches the
program that started it. When that program ends, however it does, stdin does, too, and the worker with it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from models.artifacts import ArtifactStore
from models.errors import ExportFailed, ModelError, UnreadableModel
from models.export.jobs import JOB, Event, FileJob, FileTarget, Job, NetworkTarget, ZooJob


def main() -> int:
    """Read the job, do it, report. The exit status is 0 unless the worker itself is at fault."""
    events = _private_stdout()
    job = JOB.validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_host, daemon=True).start()
    for target, stages in _work(job, ArtifactStore(Path(job.store))):
        _make(job, target, stages, events)
    return 0


def _work(job: Job, store: ArtifactStore) -> list[tuple[NetworkTarget | FileTarget, Iterator[str]]]:
    """Each target with the generator that makes it."""
    if isinstance(job, FileJob):
        from models.export.own_files import FileImport

        own = FileImport(job, store)
        return [(target, own.make(target)) for target in job.targets]
    from models.export import library, zoo
    from models.export.network import NetworkExport

    load = partial(zoo.load, job) if isinstance(job, ZooJob) else partial(library.load, job)
    export = NetworkExport(job, store, load)
    return [(target, export.make(target)) for target in job.targets]


def _end_with_host() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpid(), signal.SIGKILL)  # a group of its own: a converter may have started others


def _private_stdout() -> IO[str]:
    """The stdout we were given, for events alone: whatever else is printed, by C++ code too, goes to stderr."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8", buffering=1)


def _make(job: Job, target: NetworkTarget | FileTarget, stages: Iterator[str], events: IO[str]) -> None:
    started = time.monotonic()

    def tell(event: str, **fields: str) -> None:
        line = Event.model_validate(
            {
                "event": event,
                "format": target.format,
                "key": target.key,
                "seconds": round(time.monotonic() - started, 3),
                "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                **fields,
            }
        )
        print(line.model_dump_json(), file=events)

    try:
        for stage in stages:
            tell("stage", stage=stage)
    except ModelError as exc:
        tell("error", error=type(exc).__name__, message=str(exc))
    except Exception as exc:  # noqa: BLE001 - converters raise anything; one format must not stop the other
        traceback.print_exc()
        error = UnreadableModel if isinstance(job, FileJob) else ExportFailed
        tell("error", error=error.__name__, message=f"{job.model} ({target.format}): {_short(exc)}")
    else:
        tell("artifact")


def _short(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    text = f"{type(exc).__name__}: {lines[0] if lines else 'no message'}"
    return text if len(text) <= 400 else text[:399] + "…"


if __name__ == "__main__":
    sys.exit(main())
