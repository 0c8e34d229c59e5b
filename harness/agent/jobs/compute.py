"""What a model computes: load it, run it once, and write its outputs into a file for the host.

Events, in this order:

    imported  backend_version, import_ns
    written   size_bytes and sha256 of the .npz `target` with the outputs `out0`, `out1` …; those that are no arrays of
              numbers are left out; what actually ran
"""

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional

from harness.agent import guard
from harness.agent.files import sha256_of
from harness.agent.jobs.hold import mark_running
from harness.agent.jobs.latency import check_file, imported, inputs_of, pin


@dataclass(frozen=True)
class Request:
    """A model of a backend ("module:Class") with its inputs ({name, dtype, shape}), their file, and options.

    `data` are files of external data, with their hashes; `target` is the file to write, of `max_bytes` at most. `cores`
    is what the process is kept on, `lock` the file by which hosts keep each other away.
    """

    backend: str
    backend_class: str
    model: str
    model_sha256: str
    io: str
    io_sha256: str
    inputs: List[Dict[str, Any]]
    options: Dict[str, Any]
    target: str
    max_bytes: int
    give_up_after_s: float
    data: Dict[str, str] = field(default_factory=dict)
    cores: Optional[List[int]] = None
    lock: Optional[str] = None


def run(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Run it once. Raises whatever goes wrong."""
    # A lock is held while the descriptor is open: as long as the process lives.
    _running = mark_running(request.lock) if request.lock else None
    if request.cores:
        pin(request.cores)
    guard.use(os.path.dirname(request.model))
    check_file(request.model, request.model_sha256)
    for path, sha256 in request.data.items():
        check_file(path, sha256)
    check_file(request.io, request.io_sha256)
    backend = imported(request.backend, request.backend_class, emit)

    import numpy

    session = backend.load(request.model, request.inputs, request.options)
    with numpy.load(request.io, allow_pickle=False) as arrays:
        session.bind(inputs_of(arrays, request.inputs))
    session.run()
    made = {"out{}".format(index): numpy.asarray(array) for index, array in enumerate(session.outputs())}
    numbers = {name: array for name, array in made.items() if array.dtype.kind in "fiub"}
    size = sum(array.nbytes for array in numbers.values())
    if size > request.max_bytes:
        raise ValueError("the outputs take {} bytes; {} are allowed".format(size, request.max_bytes))
    part = request.target + ".part"
    with open(part, "wb") as file:
        numpy.savez(file, **numbers)  # type: ignore[arg-type]
    os.replace(part, request.target)
    emit(
        {
            "event": "written",
            "size_bytes": os.path.getsize(request.target),
            "sha256": sha256_of(request.target).hexdigest(),
            "actual": session.actual(),
        }
    )
    return 0
