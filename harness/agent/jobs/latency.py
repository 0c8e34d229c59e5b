"""One restart: load, verify, warm up, measure.

Events, in this order:

    imported  backend_version, import_ns
    loaded    load_ns, load_caches (how the model's files lay in memory: cold, warm or unknown), load_peak_rss_bytes,
              what actually runs; said again by a runtime that finds out only while it measures
    first     first_ns, the first inference
    verified  outputs: how far each is off from its reference (null: not compared; none at all: there is nothing to
              compare, or the runtime shows no output)
    warmup    ns (list), stable
    samples   ns (list), telemetry_timed (what counts up, as they began), noise (which of them lost their core, see
              `results.records.Noise`; null: nothing tells), probes (see `results.records.Restart`)
    curve     in place of it where the profile has spans: curve (`results.records.Curve`), telemetry_timed
    done      peak_rss_bytes, telemetry before and after, more of what actually ran
"""

import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from backends.base import Aggregate, Backend, Session, Unsupported
from backends.messages import plain
from harness.agent import failures, measure, model, pagecache, sustained, telemetry, verify
from harness.agent.memory import peak_rss_bytes

Emit = Callable[[Dict[str, Any]], None]


@dataclass(frozen=True)
class Request(model.ModelRequest):
    """A model, how it is measured, and the rules by which its outputs are compared (`harness.agent.verify`).

    There are no rules where there is no reference. With `cold` the model's files are dropped from memory, into which
    the check of their hashes has brought them, before it is loaded. With `shield` real-time priority may be taken where
    other work leaves too little to measure. `critical_c` is the temperature at which minutes without a pause end early.
    """

    outputs: List[Dict[str, Any]]
    profile: Dict[str, Any]
    cold: bool = False
    shield: bool = True
    critical_c: Optional[float] = None


def run(request: Request, emit: Emit) -> int:
    """Go through all phases; the one that fails is named in the `error` event."""
    phase = "files"
    try:
        for phase in _phases(request, emit):  # noqa: B007 - the last one goes into the error
            pass
    except Exception as exc:  # noqa: BLE001 - whatever a runtime throws becomes a row
        emit(failures.error(exc, phase))
        return 1
    return 0


def _phases(request: Request, emit: Emit) -> Iterator[str]:
    """Measure, and yield the name of each phase as it begins. Raises whatever goes wrong."""
    model.settle(request)
    before = telemetry.snapshot()
    model.check_files(request)
    yield "import"
    backend = model.imported(request, emit)
    yield "load"
    caches = pagecache.drop([request.model, *request.data]) if request.cold else "warm"
    session = _loaded(backend, request, caches, emit)
    yield "inputs"
    inputs, references = load_arrays(request)
    session.bind(inputs)
    yield "timed inferences"
    spans = request.profile.get("span_seconds")
    if spans and type(session).aggregate is not Session.aggregate:
        raise Unsupported("it tells one number for many inferences, and no curve of them: take another backend")
    aggregate = session.aggregate(request.profile)
    if aggregate:
        _tell(aggregate, session, request, caches, emit)
    else:
        yield from _time(session, references, request, emit)
    yield "end"
    after = telemetry.snapshot()
    done = {
        "event": "done",
        "peak_rss_bytes": peak_rss_bytes(children=bool(aggregate)),
        "telemetry_before": before,
        "telemetry_after": after,
    }
    emit({**done, "actual": _examined(session)})


def _loaded(backend: Backend, request: Request, caches: str, emit: Emit) -> Session:
    start = time.perf_counter_ns()
    session = backend.load(request.model, request.inputs, request.options)
    told = {"load_ns": time.perf_counter_ns() - start, "load_peak_rss_bytes": peak_rss_bytes()}
    emit({"event": "loaded", **told, "load_caches": caches, "actual": _actual(session, request)})
    return session


def _actual(session: Session, request: Request) -> Dict[str, Any]:
    """Return what really runs, and on how many cores it may: more threads than those take turns."""
    allowed = sorted(os.sched_getaffinity(0))
    actual = dict(session.actual(), cores_allowed=len(allowed))
    return dict(actual, cores=model.spans(allowed)) if request.cores else actual


def _time(session: Session, references: List[verify.Reference], request: Request, emit: Emit) -> Iterator[str]:
    yield "first inference"
    emit({"event": "first", "first_ns": measure.time_once(session.run)})
    yield "check of the output"
    # Outputs that nobody compares are not asked for: some (text, sequences) have no NumPy array.
    found = verify.compare(session.outputs(), references, request.outputs) if request.outputs else []
    emit({"event": "verified", "outputs": found})
    yield "warm-up"
    warmup, stable = measure.warm_up(session.run, request.profile)
    emit({"event": "warmup", "ns": warmup, "stable": stable})
    yield "timed inferences"
    threads = int(request.options["threads"])
    begun = telemetry.counters()
    if request.profile.get("span_seconds"):
        emit(
            dict(
                sustained.curve(session.run, request.profile, request.critical_c), event="curve", telemetry_timed=begun
            )
        )
        return
    timed = measure.measure(session.run, request.profile, threads, request.shield)
    emit({"event": "samples", **timed, "telemetry_timed": begun})


def _tell(aggregate: Aggregate, session: Session, request: Request, caches: str, emit: Emit) -> None:
    """Say what a runtime measured itself; its own load time replaces that of starting it."""
    actual = _actual(session, request)
    emit({"event": "loaded", "load_ns": aggregate.load_ns, "load_caches": caches, "actual": actual})
    emit({"event": "first", "first_ns": aggregate.first_ns})
    emit({"event": "verified", "outputs": []})
    emit({"event": "warmup", "ns": [aggregate.warmup_ns], "stable": aggregate.stable})
    emit({"event": "samples", "ns": [aggregate.sample_ns]})


def _examined(session: Session) -> Dict[str, Any]:
    """Find out what takes work, when nothing is timed any more. What goes wrong then costs no measurement."""
    try:
        return session.examine()
    except Exception as exc:  # noqa: BLE001 - a runtime may throw anything, and the samples are good
        message = plain("{}: {}".format(type(exc).__name__, exc))[:200]
        words = "not known, looking for it failed ({})".format(message)
        return {"fallback" if session.actual().get("asked") else "unexamined": words}


def load_arrays(request: Request) -> Tuple[List[Tuple[str, Any]], List[verify.Reference]]:
    """Return the inputs as (name, array) and the references of the outputs, from the artifact's io.npz."""
    import numpy

    with numpy.load(request.io, allow_pickle=False) as arrays:
        references = []  # type: List[verify.Reference]
        for index in range(len(request.outputs)):
            free = "free{}".format(index)
            references.append((arrays["out{}".format(index)], arrays[free] if free in arrays.files else None))
        return model.inputs_of(request, arrays), references
