"""Networks that are transformed when they are exported: the other axis beside precision.

No training follows, so the size and the latency are those of a trained one, and an accuracy is what is right after.
Where the trained checkpoint of a transformation is among the models or lies beside that of the network, it is taken.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, cast

from models.artifacts import FORMATS, Artifact, Form
from models.checkpoints import SUFFIX
from models.errors import ExportFailed, ModelError, UnsupportedModel
from models.export import recipe
from models.export.orders import CheckpointOrder, OptimizedOrder, Order, PartnerOrder, Target, ZooOrder, networks
from models.optimize import table
from models.optimize.base import Transformation
from models.sources import checkpoint
from models.sources.base import NetworkSource, Prepared, Source, Weights
from models.sources.checkpoint import CheckpointModel
from models.sources.partner import PartnerModel
from models.sources.zoo import ZooModel
from models.store import ArtifactStore
from results.files import sha256_of
from results.records import ModelFacts

Asked = tuple[Transformation, ...]
"""Transformations of one network, in a row."""


@dataclass(frozen=True)
class OptimizedModel(NetworkSource):
    """Another model, transformed; `done` is at least one transformation."""

    base: Source
    done: Asked
    rank: ClassVar[int] = 2
    costs_one_file: ClassVar[tuple[type[ModelError], ...]] = (ExportFailed, UnsupportedModel)

    @property
    def name(self) -> str:
        """The other model's, with what is done to it."""
        return table.join(self.base.name, self.done)

    @property
    def weights(self) -> str:
        """Those of the other model."""
        return self.base.weights

    @property
    def trained_on(self) -> str:
        """As the other model."""
        return self.base.trained_on

    def weighted(self, weights: Weights) -> OptimizedModel:
        """Raises NoSuchWeights."""
        return OptimizedModel(self.base.weighted(weights), self.done)

    def recipe(self, form: Form) -> str:
        """The other model's, and what transforms it."""
        base = cast("NetworkSource", self.base).recipe(form)
        return recipe.digest({"base": base, "optimize": table.text(self.done), "sources": _sources()})

    def packages(self) -> Mapping[str, str] | None:
        """Versions of what the transformations need."""
        try:
            return {name: importlib.metadata.version(name) for one in self.done for name in one.packages}
        except importlib.metadata.PackageNotFoundError:
            return None

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Raises ModelError where nothing is there and what transforms is not installed."""
        if reason := self._unfit():
            return Prepared(self, errors={Form(kind, "fp32"): UnsupportedModel(reason) for kind in FORMATS})
        prepared = super().look_up(store)
        if not prepared.artifacts and self.packages() is None:
            names = ", ".join(name for one in self.done for name in one.packages)
            raise ModelError(f"{self.name} needs {names}: pip install 'edgebench[optimize]'")
        return prepared

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> Order:
        """That of the other model, and what to do to its network."""
        return OptimizedOrder(
            store=str(store.root),
            model=self.name,
            network=cast("ZooOrder | CheckpointOrder | PartnerOrder", self.base.order(store, [])),
            optimize=table.text(self.done),
            targets=networks(targets),
        )

    def facts(self, made: Artifact | None) -> ModelFacts:
        """Without what is known of the accuracy of the other model, which is none of this one."""
        known = super().facts(made).model_dump() | {
            "family": self.base.facts(None).family,
            "untransformed": self.base.name,
            "accuracies": (),
        }
        if made is not None and self.weights != "random":
            words = f"{table.text(self.done)} was done to trained weights, and no training has followed"
            known["notes"] = (f"{words}: bench train … --from CHECKPOINT --optimize",)
        return ModelFacts(**known)

    def _unfit(self) -> str:
        """Why this cannot be done to the other model, "" where it may be."""
        if not isinstance(self.base, ZooModel | CheckpointModel | PartnerModel):
            return f"{table.text(self.done)} is done to networks of the zoo, and {self.base.name} is none"
        taught = [str(one) for one in self.done if one.only_by_training]
        if taught:
            words = f"{taught[0]} changes a network by training alone: bench train … --from CHECKPOINT --optimize"
            return f"{words} {table.text(self.done)}; the checkpoint that it leaves is measured with --models"
        return ""


def axis(sources: Sequence[Source], asked: Sequence[Asked]) -> list[Source]:
    """Every model in each of the ways asked for, where () is as it is. One that is transformed already stays alone."""
    given = {source.name: source for source in sources}
    found: dict[str, Source] = {}
    for source in sources:
        is_transformed = isinstance(source, CheckpointModel) and source.trained.applied
        for done in [()] if is_transformed else asked:
            name = table.join(source.name, done)
            if name not in found:
                found[name] = given.get(name) or _trained(source, done) or OptimizedModel(source, done)
    return list(found.values())


def _trained(source: Source, done: Asked) -> CheckpointModel | None:
    """The checkpoint that `bench train --optimize` has left beside that of the network."""
    if not isinstance(source, CheckpointModel):
        return None
    path = source.path.with_name(f"{table.join(source.path.name[: -len(SUFFIX)], done)}{SUFFIX}")
    if not path.is_file():
        return None
    found = checkpoint.from_file(path)
    same = found.trained.name == table.join(source.trained.model, done)
    return found.renamed(table.join(source.name, done)) if same else None


@cache
def _sources() -> dict[str, str]:
    """The hashes of what transforms."""
    models = Path(__file__).parent.parent
    paths = [*sorted((models / "optimize").glob("*.py")), models / "export/optimized.py"]
    return {path.name: sha256_of(path) for path in paths}
