"""A model on a device, as every job that runs one asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

import backends
from harness.jobs.base import Event, Terms, Tree
from models.artifacts import Artifact
from results.records import Caches, Nanoseconds, Text


class Imported(Event):
    event: Literal["imported"]
    backend_version: Text
    import_ns: Nanoseconds


class Loaded(Event):
    """The model is loaded; `actual` is what really runs. What a job does not look at is None."""

    event: Literal["loaded"]
    load_ns: Nanoseconds
    load_caches: Caches | None = None
    load_peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)] | None = None
    actual: Tree


@dataclass(frozen=True)
class ModelOnDevice:
    """The files of a model on a device and their hashes, and its inputs as a backend takes them.

    `io` holds the inputs, `data` are the files of external data. `signature` is that of the graph to be run, where that
    is another than the first of a TFLite file.
    """

    model: PurePosixPath
    model_sha256: str
    io: PurePosixPath
    io_sha256: str
    inputs: Sequence[dict[str, Any]]
    data: Mapping[PurePosixPath, str] = field(default_factory=dict)
    signature: str | None = None

    @classmethod
    def of(cls, artifact: Artifact, root: PurePosixPath) -> ModelOnDevice:
        """Return an artifact where it lies on a device whose folder is `root`."""
        folder = root / "artifacts" / artifact.sha256
        return cls(
            model=folder / f"model.{artifact.format}",
            model_sha256=artifact.file_sha256,
            io=folder / f"io-{artifact.io_sha256}.npz",
            io_sha256=artifact.io_sha256,
            inputs=[spec.declared for spec in artifact.inputs],
            data={folder / file.path: file.sha256 for file in artifact.files},
            signature=artifact.signature if artifact.subgraph else None,
        )

    @property
    def paths(self) -> list[PurePosixPath]:
        """Every file, in the order of `ArtifactStore.contents`."""
        return [self.model, *self.data, self.io]

    def request(self, backend: str, options: Mapping[str, Any], terms: Terms, give_up_after_s: float) -> dict[str, Any]:
        """Return the fields of the agent's `ModelRequest`."""
        return {
            "backend": backend,
            "backend_class": backends.reference(backend),
            "model": str(self.model),
            "model_sha256": self.model_sha256,
            "data": {str(path): sha256 for path, sha256 in self.data.items()},
            "io": str(self.io),
            "io_sha256": self.io_sha256,
            "inputs": list(self.inputs),
            "options": {**options, **({} if self.signature is None else {"signature": self.signature})},
            "give_up_after_s": give_up_after_s,
            "cores": list(terms.cores) if terms.cores else None,
            "lock": terms.lock,
        }
