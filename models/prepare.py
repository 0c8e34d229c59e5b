"""From sources to artifacts in the store: what is there is used, what is missing is made in worker processes.

Nothing here imports PyTorch, a converter or a runtime; a worker does, and only when an artifact has to be made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

from models import derived, errors
from models.artifacts import Artifact, Form, Format
from models.derived import NOTHING, Wanted
from models.errors import ExportFailed, MissingShape, ModelError, UnreadableModel, WrongInput
from models.export.limits import Limits
from models.export.orders import DerivedOrder, DerivedTarget, Event, Order, Target
from models.export.process import Workers
from models.given import is_position
from models.sources.base import Prepared, Source
from models.store import ArtifactStore

__all__ = ["Prepared", "Progress", "look_up", "prepare"]


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


def look_up(sources: Sequence[Source], store: ArtifactStore, wanted: Wanted = NOTHING) -> list[Prepared]:
    """What is there of every model and what would have to be made. Raises ModelError where that cannot be."""
    models = _told_apart([source.look_up(store) for source in sources])
    for model in models:
        derived.add(model, wanted, store)
    return models


def prepare(
    sources: Sequence[Source],
    store: ArtifactStore,
    *,
    workers: int = 2,
    on_event: Callable[[Progress], None] = lambda progress: None,
    limits: Limits | None = None,
    alone_is_fatal: bool = True,
    wanted: Wanted = NOTHING,
) -> list[Prepared]:
    """Bring every model into the store, `workers` at a time within `limits`, and return them in order.

    `on_event` is called from threads, never from two at once. A file that cannot be made or read is in `failures`;
    only when there is nothing else is the UnreadableModel, MissingShape or WrongInput of such a file raised, unless
    `alone_is_fatal` is false. Raises
    UnknownModel for a name that a library does not have, ExportFailed when there is no artifact because the exporters
    are not installed, MissingShape for a shape of an input that nothing has, and ModelError when a library or trained
    weights cannot be had or the store cannot be written.
    """
    models = look_up(sources, store, wanted)
    board = _Board(on_event, sum(len(model.artifacts) + len(model.targets) + len(model.errors) for model in models))
    for model in models:
        for _ in range(len(model.artifacts) + len(model.errors)):
            board.report(model.name, "in the store", settled=1)
    pool = Workers(limits or Limits.from_environment())
    for rank in sorted({source.rank for source in sources}):
        chosen = [model for model in models if model.source.rank == rank]
        _run([model for model in chosen if model.targets], store, pool, board, workers)
        for model in chosen:
            if model.fatal is not None:
                raise model.fatal
        _check_names(chosen)
    if alone_is_fatal:
        _raise_if_nothing(models)
    return _told_apart(models)


def _told_apart(models: list[Prepared]) -> list[Prepared]:
    """No two of one name: the sizes that stand in one may make it that of another file, or of a variant of the zoo."""
    for model in models:
        number = 1
        while model.name != model.source.name and sum(model.name == other.name for other in models) > 1:
            number += 1
            model.source = model.source.renamed(f"{model.source.name.partition('#')[0]}#{number}")
    return models


def _raise_if_nothing(models: Sequence[Prepared]) -> None:
    """Where there is nothing but what was mistyped and files that are no models, that is an error and no table."""
    errors = [error for model in models for error in model.errors.values() if not isinstance(error, ExportFailed)]
    is_all = all(isinstance(error, UnreadableModel | MissingShape | WrongInput) for error in errors)
    if errors and is_all and not any(model.artifacts for model in models):
        raise errors[0]


class _Board:
    """Counts what is settled and reports it, one report at a time."""

    def __init__(self, on_event: Callable[[Progress], None], total: int) -> None:
        self._on_event = on_event
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def report(self, model: str, stage: str, event: Event | None = None, *, settled: int = 0) -> None:
        told = () if event is None else (event.format, event.seconds, event.peak_rss_bytes)
        with self._lock:
            self._done += settled
            self._on_event(Progress(model, stage, self._done, self._total, *told))


def _run(models: list[Prepared], store: ArtifactStore, pool: Workers, board: _Board, workers: int) -> None:
    """One worker process per model, `workers` at a time. Ends them all when interrupted."""
    if not models:
        return
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="prepare") as threads:
        futures = [threads.submit(_work, model, store, pool, board) for model in models]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
        except BaseException:
            pool.stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _work(model: Prepared, store: ArtifactStore, pool: Workers, board: _Board) -> None:
    """What the source makes first; then, in a process of its own, what is made of that."""
    made: list[Target] = [target for target in model.targets if not isinstance(target, DerivedTarget)]
    if made:
        _carry_out(model, model.source.order(store, made), store, pool, board)
    for target in list(model.targets):
        if (error := derived.failure_of_base(model, target.form)) is not None:
            model.settle(target, error)
            board.report(model.name, f"{_words(target.form)} failed", settled=1)
    others = tuple(target for target in model.targets if isinstance(target, DerivedTarget))
    if others:
        order = DerivedOrder(store=str(store.root), model=model.name, targets=others)
        _carry_out(model, order, store, pool, board)


def _carry_out(model: Prepared, order: Order, store: ArtifactStore, pool: Workers, board: _Board) -> None:
    unsettled = {target.key: target for target in model.targets if target in order.targets}
    broke_down = ExportFailed if order.kind == "derived" else model.source.costs_one_file[0]

    def on_event(event: Event) -> None:
        if event.key not in unsettled:
            return
        if event.event == "stage":
            board.report(model.name, event.stage, event)
            return
        target = unsettled.pop(event.key)
        outcome: Artifact | ModelError
        if event.event == "artifact":
            gone = ModelError(f"{model.name}: its new artifact vanished from {store.root}")
            outcome = store.find(event.key) or gone
        else:
            outcome = getattr(errors, event.error, ModelError if event.error else broke_down)(event.message)
        model.settle(target, outcome)
        became = "failed" if target.form in model.errors else "ready"
        board.report(model.name, f"{_words(target.form)} {became}", event, settled=1)

    reason = pool.run(order, on_event)
    for target in unsettled.values():
        words = f"{model.name} ({_words(target.form)}): {reason or 'its worker process told nothing about it'}"
        model.settle(target, broke_down(words))
        board.report(model.name, f"{_words(target.form)} failed", settled=1)


def _words(form: Form) -> str:
    """Like `onnx`, or `onnx int8 qdq` for what is made of it."""
    return " ".join([form.format, *([form.precision, form.method] if form.method else [])])


def _check_names(chosen: Sequence[Prepared]) -> None:
    """An --input or --input-shape that no chosen file takes is a typing mistake. Raises MissingShape, WrongInput.

    Where a file could not be read, nobody knows its inputs.
    """
    if any(model.errors for model in chosen):
        return
    given = {name: entry for model in chosen for name, entry in model.source.given.inputs.items()}
    made = [(model.name, artifact.inputs) for model in chosen for artifact in model.artifacts.values()]
    inputs = {spec.name: model for model, specs in made for spec in specs}
    most = max((len(specs) for _, specs in made), default=0)
    for name, entry in sorted(given.items()):
        if name not in inputs and not (is_position(name) and int(name) < most):
            known = ", ".join(f"{known or '(no name)'} ({model})" for known, model in inputs.items()) or "none"
            words = f"{name}: none of the chosen model files has such an input; they have {known}"
            raise WrongInput(f"--input {words}") if entry.shape is None else MissingShape(f"--input-shape {words}")
    _check_outputs(chosen)


def _check_outputs(chosen: Sequence[Prepared]) -> None:
    """The same of the outputs in --tolerance and --nonfinite; a file without a reference has none that is known."""
    given = {name for model in chosen for name in model.source.given.outputs}
    made = [artifact.outputs for model in chosen for artifact in model.artifacts.values()]
    known = dict.fromkeys(spec.name for specs in made for spec in specs)
    most = max((len(specs) for specs in made), default=0)
    for name in sorted(given):
        if all(made) and name not in known and not (is_position(name) and int(name) < most):
            words = "none of the chosen model files has such an output"
            raise WrongInput(f"--tolerance, --nonfinite {name}: {words}; they have {', '.join(known) or 'none'}")
