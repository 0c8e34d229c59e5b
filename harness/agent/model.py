"""A model that a job runs in this process: what is asked for, its files checked, its runtime imported, its inputs."""

import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

from backends import load_class
from backends.base import Backend, Unsupported
from harness.agent import failures, guard
from harness.agent.files import sha256_of
from harness.agent.jobs.hold import mark_running


@dataclass(frozen=True)
class ModelRequest:
    """A model of a backend ("module:Class") with its inputs (as `Backend.load` has them), their file `io`, and options.

    `data` are the files of external data that the model refers to, with their hashes. `cores` is what the process is
    kept on, `lock` the file by which hosts keep each other away.
    """

    backend: str
    backend_class: str
    model: str
    model_sha256: str
    data: Dict[str, str]
    io: str
    io_sha256: str
    inputs: List[Dict[str, Any]]
    options: Dict[str, Any]
    give_up_after_s: float
    cores: Optional[List[int]]
    lock: Optional[str]


def settle(request: ModelRequest) -> None:
    """Mark the device and the artifact's folder as in use as long as this process lives, and keep to the cores.

    Raises Unsupported where the device does not have them.
    """
    if request.lock:
        mark_running(request.lock)
    if request.cores:
        _pin(request.cores)
    guard.use(os.path.dirname(request.model))


def check_files(request: ModelRequest) -> None:
    """Raise Damaged when a file is not there or not what it was pushed as. Reading it also warms the page cache."""
    for path, sha256 in [(request.model, request.model_sha256), *request.data.items(), (request.io, request.io_sha256)]:
        try:
            found = sha256_of(path).hexdigest()
        except OSError as exc:
            raise failures.Damaged("{}: {}".format(path, exc.strerror)) from exc
        if found != sha256:
            raise failures.Damaged("{} does not have the hash it was pushed with".format(path))


def imported(request: ModelRequest, emit: Callable[[Dict[str, Any]], None]) -> Backend:
    """Import the backend with its runtime and say so. Raises Unsupported where it is not there."""
    try:
        backend = load_class(request.backend_class)()
        start = time.perf_counter_ns()
        version = backend.version()
    except ImportError as exc:
        words = "{} cannot be imported by {} ({})".format(request.backend, sys.executable, exc)
        raise Unsupported(words) from exc
    import_ns = time.perf_counter_ns() - start
    emit({"event": "imported", "backend_version": version, "import_ns": import_ns})
    return backend


def inputs_of(request: ModelRequest, arrays: Any) -> List[Tuple[str, Any]]:
    """Return the inputs as (name, array) from the open `io`."""
    import numpy

    # asarray, since ascontiguousarray makes a vector of a scalar
    return [
        (spec["name"], numpy.asarray(arrays["in{}".format(index)], order="C"))
        for index, spec in enumerate(request.inputs)
    ]


def _pin(cores: List[int]) -> None:
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
