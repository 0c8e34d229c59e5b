"""Variants of the zoo with the trained weights of timm or torchvision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from models import partners
from models.artifacts import Artifact, Form
from models.errors import ModelError
from models.export import recipe
from models.export.orders import Order, PartnerOrder, Target, networks
from models.sources.base import NetworkSource, Prepared, Weights
from models.sources.library import LIBRARIES, LibraryModel
from models.store import ArtifactStore
from models.zoo import catalog
from results.records import ModelFacts


@dataclass(frozen=True)
class PartnerModel(NetworkSource):
    """A variant that takes the weights of `partner`, which is asked for at the variant's resolution."""

    variant: catalog.Variant
    partner: LibraryModel
    rank: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """The variant's."""
        return self.variant.name

    @property
    def weights(self) -> str:
        """Those of the library."""
        return self.partner.weights

    def weighted(self, weights: Weights) -> PartnerModel:
        """It has these alone."""
        return self

    def recipe(self, form: Form) -> str:
        """The variant, and what an artifact of its partner would be made from."""
        return recipe.partner_recipe(self.variant, self.partner.recipe(form))

    def packages(self) -> Mapping[str, str] | None:
        """Versions of the library."""
        return self.partner.packages()

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Raises ModelError where nothing is there and the library is not installed."""
        prepared, library = super().look_up(store), self.partner.library
        if not prepared.artifacts and self.packages() is None:
            raise ModelError(
                f"{self.name}: its trained weights are those of {self.partner.name}, and {library} is not installed; "
                f"pip install {library}"
            )
        return prepared

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> Order:
        """The worker builds both networks."""
        partner = self.partner.order(store, targets)
        return PartnerOrder(
            store=str(store.root),
            model=self.name,
            variant=self.variant.name,
            partner=partner,
            targets=networks(targets),
        )

    def facts(self, made: Artifact | None) -> ModelFacts:
        """What was published of the variant is of other weights."""
        known = {"family": self.variant.family, "resolution": self.variant.resolution}
        return super().facts(made).model_copy(update=known)


def of_variant(variant: catalog.Variant) -> PartnerModel:
    """Raises NoSuchWeights where no network of a library computes the same."""
    library, _, network = partners.partner(variant).partition(":")
    return PartnerModel(variant, LibraryModel(LIBRARIES[library], network, "pretrained", variant.resolution))
