"""Where copies of a model are made for comparing: a folder for the time of one comparison, and a worker process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import errors
from models.artifacts import Artifact
from models.diff.copies import LAYOUT, value_path
from models.diff.layout import Copy, Layout, Part
from models.errors import ModelError
from models.export.limits import Limits
from models.export.orders import CopiesOrder, Event, FileTarget
from models.export.process import Workers
from models.store import ArtifactStore


@dataclass(frozen=True)
class Workshop:
    """Copies of one artifact, and the values that cut ones are fed, in one folder."""

    store: ArtifactStore
    artifact: Artifact
    folder: Path

    @classmethod
    @contextmanager
    def opened(cls, store: ArtifactStore, artifact: Artifact) -> Iterator[Workshop]:
        """A folder of the store's with the artifact's external data in it. Raises ModelError."""
        with store.scratch() as folder:
            for source in artifact.files:
                _link(store.data_path(artifact, source.path), folder / source.path)
            yield cls(store, artifact, folder)

    def write(self, parts: Sequence[Part]) -> Layout:
        """Write copies that are not there yet and return the layout. Raises ModelError."""
        missing = tuple(part for part in parts if not self.path(part).exists())
        path = self.folder / LAYOUT
        if missing or not path.exists():
            self._have_written(missing)
        return Layout.model_validate_json(path.read_bytes())

    def path(self, part: Part) -> Path:
        """Where a copy lies."""
        return self.folder / f"{part.stem}.{self.artifact.format}"

    def copy(self, part: Part) -> Copy:
        """What a copy takes and hands out."""
        return Copy.model_validate_json((self.folder / f"{part.stem}.json").read_bytes())

    def drop(self, part: Part) -> None:
        """Remove a copy that was used."""
        self.path(part).unlink(missing_ok=True)

    def keep(self, values: Mapping[int, NDArray[Any]]) -> None:
        """Keep arrays that cut copies will be fed."""
        for number, array in values.items():
            np.save(value_path(self.folder, number), array, allow_pickle=False)

    def value(self, number: int) -> NDArray[Any] | None:
        """The array of a tensor that was kept."""
        path = value_path(self.folder, number)
        return np.load(path, allow_pickle=False) if path.exists() else None

    def _have_written(self, parts: tuple[Part, ...]) -> None:
        order = CopiesOrder(
            store=str(self.store.root),
            model=self.artifact.model,
            inputs=self.artifact.inputs,
            signature=self.artifact.signature if self.artifact.subgraph else None,
            folder=str(self.folder),
            parts=parts,
            targets=(
                FileTarget(
                    format=self.artifact.format, path=str(self.store.model_path(self.artifact)), key=self.artifact.key
                ),
            ),
        )
        failed: list[Event] = []
        reason = Workers(Limits.from_environment()).run(
            order, lambda event: failed.append(event) if event.event == "error" else None
        )
        if failed:
            raise getattr(errors, failed[0].error, ModelError)(failed[0].message)
        if reason:
            raise ModelError(f"{self.artifact.model}: copies that hand out its tensors cannot be made: {reason}")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
