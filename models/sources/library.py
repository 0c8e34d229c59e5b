"""Networks of a library that the user installed: timm or torchvision."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from models.artifacts import Form
from models.errors import ModelError, NoSuchWeights
from models.export import recipe
from models.export.orders import LibraryOrder, Target, networks
from models.export.process import library_names
from models.sources.base import NetworkSource, Prepared, Weights
from models.store import ArtifactStore
from models.zoo import catalog

Library = Literal["timm", "torchvision"]
LIBRARIES: dict[str, Library] = {"timm": "timm", "torchvision": "torchvision"}


@dataclass(frozen=True)
class LibraryModel(NetworkSource):
    """A network of a library, by the library's name for it, at its or another resolution."""

    library: Library
    network: str
    weights: Literal["random", "pretrained"] = "random"
    resolution: int | None = None
    rank: ClassVar[int] = 1  # only the library knows its names

    @property
    def name(self) -> str:
        """What was typed, as "timm:mobilenetv3_small_100" or "timm:mobilenetv3_small_100@192"."""
        at = "" if self.resolution is None else f"@{self.resolution}"
        return f"{self.library}:{self.network}{at}"

    def weighted(self, weights: Weights) -> LibraryModel:
        """Whether the library has trained weights of the network shows when it is built."""
        if weights not in ("random", "pretrained"):
            raise NoSuchWeights(f"trained weights of {self.library} are --weights pretrained")
        return replace(self, weights="pretrained" if weights == "pretrained" else "random")

    def recipe(self, form: Form) -> str:
        """The library's version is no part of it."""
        return recipe.library_recipe(form, self.library, self.network, self.weights, self.resolution)

    def packages(self) -> Mapping[str, str] | None:
        """Versions of timm or torchvision."""
        return recipe.library_versions(self.library)

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Raises ModelError where nothing is there and the library is not installed."""
        prepared = super().look_up(store)
        if not prepared.artifacts and self.packages() is None:
            raise ModelError(f"{self.name}: {self.library} is not installed; pip install {self.library}")
        return prepared

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> LibraryOrder:
        """Its names are checked by the worker, which imports the library."""
        return LibraryOrder(
            store=str(store.root),
            model=self.name,
            library=self.library,
            network=self.network,
            resolution=self.resolution,
            weights=self.weights,
            targets=networks(targets),
        )


def matching(library: Library, expression: str) -> list[LibraryModel]:
    """One network of a library, or those that match a glob. A name is checked where it is built.

    Raises ModelError where the library cannot be asked what matches.
    """
    network, resolution = catalog.split(expression)
    names = library_names(library, network) if glob.has_magic(network) else [network]
    return [LibraryModel(library, name, resolution=resolution) for name in names]
