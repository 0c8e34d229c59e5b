"""What a model computes: load it, run it once, and write its outputs into a file for the host.

Events, in this order:

    imported  backend_version, import_ns
    written   size_bytes and sha256 of the .npz `target` with the outputs `out0`, `out1` …; those that are no arrays of
              numbers are left out; what actually ran
"""

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict

from harness.agent import model
from harness.agent.files import sha256_of


@dataclass(frozen=True)
class Request(model.ModelRequest):
    """A model, and `target`, the file to write, of `max_bytes` at most."""

    target: str
    max_bytes: int


def run(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Run it once. Raises whatever goes wrong."""
    model.settle(request)
    model.check_files(request)
    backend = model.imported(request, emit)

    import numpy

    session = backend.load(request.model, request.inputs, request.options)
    with numpy.load(request.io, allow_pickle=False) as arrays:
        session.bind(model.inputs_of(request, arrays))
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
