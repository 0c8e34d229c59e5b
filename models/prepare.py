"""From requests to artifacts in the store: what is there is used, what is missing is made in worker processes.

Nothing here imports PyTorch, a converter or a runtime; a worker does, and only when an artifact has to be made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from models import published
from models.artifacts import Artifact, ArtifactStore, Form, Format
from models.errors import ExportFailed, MissingShape, ModelError, UnreadableModel
from models.export.jobs import Event
from models.export.process import Workers
from models.selection import FileRequest, LibraryRequest, Request, ZooRequest
from models.tasks import Task, plan

TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Progress:
    """Something happened to `model`; of all `total` artifacts that were asked for, `done` are settled.

    `seconds` and `peak_rss_bytes` are the worker's so far, 0 for what was in the store already.
    """

    model: str
    stage: str
    done: int
    total: int
    format: Format | None = None
    seconds: float = 0.0
    peak_rss_bytes: int = 0


@dataclass(frozen=True)
class Prepared:
    """A model with its artifacts by format and precision; `failures` says of the others why there is none."""

    name: str
    family: str | None
    weights: str
    resolution: int | None
    parameters: int | None
    multiply_adds: int | None
    accuracy: dict[str, Any] | None
    artifacts: dict[Form, Artifact] = field(default_factory=dict)
    failures: dict[Form, str] = field(default_factory=dict)


def prepare(
    requests: Sequence[Request],
    store: ArtifactStore,
    *,
    workers: int = 2,
    on_event: Callable[[Progress], None] = lambda progress: None,
    timeout_s: float = TIMEOUT_S,
) -> list[Prepared]:
    """Bring every requested model into the store, `workers` at a time, and return them in order.

    `on_event` is called from threads, never from two at once. A format that cannot be exported is in `failures`. Raises
    UnreadableModel or MissingShape for the user's own files, UnknownModel for a name that a library does not have,
    ExportFailed when there is no artifact because the exporters are not installed, and ModelError when a library or
    trained weights cannot be had or the store cannot be written.
    """
    tasks = [plan(request, store) for request in requests]
    total = sum(len(task.artifacts) + len(task.targets) + len(task.failures) for task in tasks)
    board = _Board(on_event, total)
    for task in tasks:
        for _ in range(len(task.artifacts) + len(task.failures)):
            board.settled(task.name, "in the store")
    pool = Workers(timeout_s)
    # Own files take seconds, and only a library knows its names: mistakes should show before minutes of export.
    for kind in (FileRequest, LibraryRequest, ZooRequest):
        chosen = [task for task in tasks if isinstance(task.request, kind)]
        _run([task for task in chosen if task.targets], store, pool, board, workers)
        for task in chosen:
            task.raise_if_unusable()
        if kind is FileRequest:
            _check_shape_names(chosen)
    return [_prepared(task) for task in tasks]


def missing(requests: Sequence[Request], store: ArtifactStore) -> list[str]:
    """The names of the requested models of which something would have to be made first. Raises ModelError."""
    return [request.name for request in requests if plan(request, store).targets]


class _Board:
    """Counts what is settled and reports it, one report at a time."""

    def __init__(self, on_event: Callable[[Progress], None], total: int) -> None:
        self._on_event = on_event
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def stage(self, model: str, event: Event) -> None:
        with self._lock:
            self._report(model, event.stage, event)

    def settled(self, model: str, stage: str, event: Event | None = None) -> None:
        with self._lock:
            self._done += 1
            self._report(model, stage, event)

    def _report(self, model: str, stage: str, event: Event | None) -> None:
        progress = Progress(model, stage, self._done, self._total)
        if event is not None:
            progress = Progress(
                model, stage, self._done, self._total, event.format, event.seconds, event.peak_rss_bytes
            )
        self._on_event(progress)


def _run(tasks: list[Task], store: ArtifactStore, pool: Workers, board: _Board, workers: int) -> None:
    """One worker process per task, `workers` at a time. Ends them all when interrupted."""
    if not tasks:
        return
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="prepare") as threads:
        futures = [threads.submit(_work, task, store, pool, board) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
        except BaseException:
            pool.stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _work(task: Task, store: ArtifactStore, pool: Workers, board: _Board) -> None:
    unsettled = dict(task.targets)

    def on_event(event: Event) -> None:
        target = unsettled.get(event.key)
        if target is None:
            return
        if event.event == "stage":
            board.stage(task.name, event)
            return
        found = store.find(event.key) if event.event == "artifact" else None
        if found is not None:
            task.artifacts[found.form] = found
        elif event.event == "artifact":
            task.failed(target.form, ModelError.__name__, f"{task.name}: its new artifact vanished from {store.root}")
        else:
            task.failed(target.form, event.error, event.message)
        del unsettled[event.key]
        board.settled(task.name, f"{event.format} {'failed' if found is None else 'ready'}", event)

    reason = pool.run(task.job(store), on_event)
    for target in unsettled.values():
        error = UnreadableModel if isinstance(task.request, FileRequest) else ExportFailed
        words = f"{task.name} ({target.format}): {reason or 'its worker process told nothing about it'}"
        task.failed(target.form, error.__name__, words)
        board.settled(task.name, f"{target.format} failed")


def _check_shape_names(own: list[Task]) -> None:
    """An --input-shape that no chosen file takes is a typing mistake. Raises MissingShape."""
    given = {name for task in own if isinstance(task.request, FileRequest) for name in task.request.input_shapes}
    inputs = {spec.name: task.name for task in own for artifact in task.artifacts.values() for spec in artifact.inputs}
    for name in sorted(given - inputs.keys()):
        known = ", ".join(f"{known} ({model})" for known, model in inputs.items()) or "none"
        raise MissingShape(f"--input-shape {name}: none of the chosen model files has such an input; they have {known}")


def _prepared(task: Task) -> Prepared:
    request, artifacts = task.request, dict(sorted(task.artifacts.items()))
    first = next(iter(artifacts.values()), None)
    common: dict[str, Any] = {
        "weights": first.weights if first else request.weights,
        "parameters": first.parameters if first else None,
        "multiply_adds": first.multiply_adds if first else None,
        "artifacts": artifacts,
        "failures": task.failures,
    }
    if isinstance(request, ZooRequest):
        variant = request.variant
        accuracy = published.accuracy(variant.name)
        return Prepared(task.name, variant.family, resolution=variant.resolution, accuracy=accuracy, **common)
    if isinstance(request, LibraryRequest):
        known = first.accuracy.model_dump() if first and first.accuracy else None
        return Prepared(task.name, None, resolution=first.resolution if first else None, accuracy=known, **common)
    own = request.settings.accuracy
    return Prepared(task.name, None, resolution=None, accuracy=own.model_dump() if own else None, **common)
