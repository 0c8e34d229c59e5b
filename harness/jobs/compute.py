"""What a model computes on a device: its outputs in a file there, which `read` takes apart once it is here."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.agent.jobs import compute as device_side
from harness.errors import AgentError
from harness.jobs.base import Ended, Event, Grammar, Hello, Job, Step, Terms, Tree, answer
from harness.jobs.model import Imported, ModelOnDevice
from results.files import sha256_of
from results.records import Sha256

# Of the outputs of one run: less than what a transport pulls.
MAX_BYTES = 900 << 20
# What the file may have besides: names and headers.
_SPARE_BYTES = 16 << 20
_RUN_S = 60.0


class Written(Event):
    """The outputs are in the file."""

    event: Literal["written"]
    size_bytes: Annotated[int, Field(ge=0, le=MAX_BYTES + _SPARE_BYTES)]
    sha256: Sha256
    actual: Tree


@dataclass(frozen=True)
class Computed:
    """What ran: the runtime's version, what it says of itself, and the file that it wrote."""

    backend_version: str
    actual: Mapping[str, Any]
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Compute(Job[Computed]):
    """Run the model once on its inputs and write what it computes to `target`."""

    name = "compute"

    backend: str
    model: ModelOnDevice
    options: Mapping[str, Any]
    target: PurePosixPath

    @property
    def grammar(self) -> Grammar:
        return {
            Hello: Step("importing the runtime", (Imported,)),
            Imported: Step("running the model once", (Written,), _RUN_S),
        }

    def request(self, terms: Terms) -> device_side.Request:
        return device_side.Request(
            **self.model.request(self.backend, self.options, terms, self.total_s(terms.patience_s)),
            target=str(self.target),
            max_bytes=MAX_BYTES,
        )

    def record(self, events: Sequence[Event], ended: Ended) -> Computed:
        """Raises AgentError, in the words of the runtime where it could not."""
        written = answer(Written, events, ended)
        version = next(event.backend_version for event in events if isinstance(event, Imported))
        return Computed(version, written.actual, written.size_bytes, written.sha256)


def read(path: Path, computed: Computed) -> dict[int, NDArray[Any]]:
    """Return position -> array of a file that was pulled. Raises AgentError for one that is not what was written.

    What is in it is untrusted: no more is read than its headers promise, and these no more than is allowed.
    """
    if path.stat().st_size != computed.size_bytes or sha256_of(path) != computed.sha256:
        raise AgentError("the file of outputs is not the one that the agent has written")
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES + _SPARE_BYTES:
                raise ValueError("it holds more than is allowed")
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, as none is")
            for member in archive.infolist():
                found[_position(member.filename)] = _array(archive, member)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        raise AgentError(f"the file of outputs cannot be read: {exc}") from exc
    return found


def _position(name: str) -> int:
    digits = name.removeprefix("out").removesuffix(".npy")
    if name != f"out{digits}.npy" or not digits.isdecimal() or len(digits) > 6:
        raise ValueError(f"an array is called {name[:80]!r}")
    return int(digits)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError("an array has another header than NumPy's first")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.kind not in "fiub" or min(shape, default=0) < 0 or size > member.file_size:
            raise ValueError("an array is not what its header says")
        array = np.frombuffer(file.read(size), dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")
