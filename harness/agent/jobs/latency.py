"""One restart: load, verify, warm up, measure.

Events, in this order:

    imported  backend_version, import_ns
    loaded    load_ns, what actually runs; said again by a runtime that finds out only while it measures
    first     first_ns, the first inference
    verified  outputs: how far each is off from its reference (null: not compared; none at all: there is nothing to
              compare, or the runtime shows no output)
    warmup    ns (list), stable
    samples   ns (list)
    done      peak_rss_bytes, telemetry before and after, more of what actually ran
"""

import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from backends import load_class
from backends.base import Aggregate, Backend, Session, Unsupported
from backends.messages import plain
from harness.agent import failures, guard, measure, telemetry, verify
from harness.agent.files import sha256_of
from harness.agent.jobs.hold import mark_running
from harness.agent.memory import peak_rss_bytes

Emit = Callable[[Dict[str, Any]], None]


@dataclass(frozen=True)
class Request:
    """A model of a backend ("module:Class") with its inputs (as `Backend.load` has them), options, reference, profile.

    `outputs` are the rules by which outputs are compared (`harness.agent.verify`), none where there is no reference.
    `data` are the files of external data that the model refers to, with their hashes. `cores` is what the process is
    kept on, `lock` the file by which hosts keep each other away.
    """

    backend: str
    backend_class: str
    model: str
    model_sha256: str
    io: str
    io_sha256: str
    inputs: List[Dict[str, Any]]
    options: Dict[str, Any]
    outputs: List[Dict[str, Any]]
    profile: Dict[str, Any]
    give_up_after_s: float
    cores: Optional[List[int]] = None
    lock: Optional[str] = None
    data: Dict[str, str] = field(default_factory=dict)


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
    # A lock is held while the descriptor is open: as long as the process lives.
    _running = mark_running(request.lock) if request.lock else None
    if request.cores:
        pin(request.cores)
    before = telemetry.snapshot()
    guard.use(os.path.dirname(request.model))
    check_file(request.model, request.model_sha256)
    for path, sha256 in request.data.items():
        check_file(path, sha256)
    check_file(request.io, request.io_sha256)
    yield "import"
    backend = imported(request.backend, request.backend_class, emit)
    yield "load"
    session = _loaded(backend, request, emit)
    yield "inputs"
    inputs, references = load_arrays(request)
    session.bind(inputs)
    yield "timed inferences"
    aggregate = session.aggregate(request.profile)
    if aggregate:
        _tell(aggregate, session, request, emit)
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


def imported(name: str, backend_class: str, emit: Emit) -> Backend:
    """Import a backend with its runtime and say so. Raises Unsupported where it is not there."""
    try:
        backend = load_class(backend_class)()
        start = time.perf_counter_ns()
        version = backend.version()
    except ImportError as exc:
        words = "{} cannot be imported by {} ({})".format(name, sys.executable, exc)
        raise Unsupported(words) from exc
    import_ns = time.perf_counter_ns() - start
    emit({"event": "imported", "backend_version": version, "import_ns": import_ns})
    return backend


def _loaded(backend: Backend, request: Request, emit: Emit) -> Session:
    start = time.perf_counter_ns()
    session = backend.load(request.model, request.inputs, request.options)
    load_ns = time.perf_counter_ns() - start
    emit({"event": "loaded", "load_ns": load_ns, "actual": _actual(session, request)})
    return session


def _actual(session: Session, request: Request) -> Dict[str, Any]:
    """Return what really runs, and on how many cores it may: more threads than those take turns."""
    allowed = sorted(os.sched_getaffinity(0))
    actual = dict(session.actual(), cores_allowed=len(allowed))
    return dict(actual, cores=spans(allowed)) if request.cores else actual


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
    emit({"event": "samples", "ns": measure.measure(session.run, request.profile)})


def _tell(aggregate: Aggregate, session: Session, request: Request, emit: Emit) -> None:
    """Say what a runtime measured itself; its own load time replaces that of starting it."""
    emit({"event": "loaded", "load_ns": aggregate.load_ns, "actual": _actual(session, request)})
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
        return {"fallback": "not known, looking for it failed ({})".format(message)}


def check_file(path: str, sha256: str) -> None:
    """Raise Damaged when the file is not there or not what its name says. Reading it also warms the page cache."""
    try:
        found = sha256_of(path).hexdigest()
    except OSError as exc:
        raise failures.Damaged("{}: {}".format(path, exc.strerror)) from exc
    if found != sha256:
        raise failures.Damaged("{} does not have the hash it was pushed with".format(path))


def load_arrays(request: Request) -> Tuple[List[Tuple[str, Any]], List[verify.Reference]]:
    """Return the inputs as (name, array) and the references of the outputs, from the artifact's io.npz."""
    import numpy

    with numpy.load(request.io, allow_pickle=False) as arrays:
        references = []  # type: List[verify.Reference]
        for index in range(len(request.outputs)):
            free = "free{}".format(index)
            references.append((arrays["out{}".format(index)], arrays[free] if free in arrays.files else None))
        return inputs_of(arrays, request.inputs), references


def inputs_of(arrays: Any, inputs: List[Dict[str, Any]]) -> List[Tuple[str, Any]]:
    """Return the inputs as (name, array) from an open io.npz."""
    import numpy

    # asarray, since ascontiguousarray makes a vector of a scalar
    return [(spec["name"], numpy.asarray(arrays["in{}".format(index)], order="C")) for index, spec in enumerate(inputs)]


def pin(cores: List[int]) -> None:
    """Keep this process and the threads it will start on these cores. Raises Unsupported."""
    there = sorted(os.sched_getaffinity(0))
    if not set(cores) <= set(there):
        raise Unsupported("cores {} are asked for; this device lets us use {}".format(spans(cores), spans(there)))
    os.sched_setaffinity(0, cores)


def spans(cores: List[int]) -> str:
    """Return a sorted list of cores like "0,4-7"."""
    found = []  # type: List[List[int]]
    for core in cores:
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ",".join(str(first) if first == last else "{}-{}".format(first, last) for first, last in found)
