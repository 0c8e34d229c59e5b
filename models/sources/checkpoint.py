"""Networks of the zoo with weights that `bench train` left: those that ship with the package, and the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from models import checkpoints
from models.artifacts import Artifact, Form
from models.checkpoints import SUFFIX
from models.datasets.idx import FASHION_MNIST
from models.errors import NoSuchWeights, UnreadableModel
from models.export import recipe
from models.export.orders import CheckpointOrder, Order, Target, networks
from models.sources.base import NetworkSource, Weights
from models.store import ArtifactStore
from models.train import checkpoint
from models.zoo import catalog
from results.files import sha256_of
from results.records import ModelFacts


@dataclass(frozen=True)
class CheckpointModel(NetworkSource):
    """A checkpoint, to be exported to both formats; its key hangs on the hash of the file."""

    path: Path
    sha256: str
    trained: checkpoint.Trained
    label: str
    rank: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """That of the file without its ending, which `bench train` makes that of the network."""
        return self.label

    @property
    def weights(self) -> str:
        """The data set that it was trained on."""
        return self.trained.dataset

    @property
    def trained_on(self) -> str:
        """Only of a data set that is known by its name: where another one lies, the checkpoint does not say."""
        return FASHION_MNIST if self.trained.dataset == FASHION_MNIST else ""

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of the file."""
        return self.path.parent.parts

    def renamed(self, name: str) -> CheckpointModel:
        """The same model under another name."""
        return CheckpointModel(self.path, self.sha256, self.trained, name)

    def weighted(self, weights: Weights) -> CheckpointModel:
        """Whatever is in the file."""
        return self

    def recipe(self, form: Form) -> str:
        """The file and the network that it is read into."""
        return recipe.checkpoint_recipe(form, self.trained.variant, self.sha256)

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> Order:
        """The worker reads the file again, and checks that it is the same."""
        return CheckpointOrder(
            store=str(store.root),
            model=self.name,
            path=str(self.path),
            sha256=self.sha256,
            targets=networks(targets),
        )

    def facts(self, made: Artifact | None) -> ModelFacts:
        """With the accuracy that the checkpoint says of itself: it is what measuring it should give."""
        tested = self.trained.tested
        known = {
            "family": self.trained.variant.family,
            "weights": self.weights,
            "resolution": self.trained.recipe.size,
            "accuracies": (),
            "reference": tested.accuracy if tested else None,
            "untransformed": self.trained.model if self.trained.applied else "",
        }
        return super().facts(made).model_copy(update=known)


def is_checkpoint(path: Path) -> bool:
    """Whether a file is called as one."""
    return path.name.lower().endswith(SUFFIX)


def from_file(path: Path) -> CheckpointModel:
    """A checkpoint of the user's. Raises UnreadableModel."""
    trained = checkpoint.describe(path)
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise UnreadableModel(f"{path}: cannot be read ({error.strerror})") from error
    return CheckpointModel(path.absolute(), digest, trained, path.name[: -len(SUFFIX)])


def of_set(name: str) -> list[CheckpointModel]:
    """All checkpoints of a set that ships with the package."""
    return [from_file(path) for path in checkpoints.files(name).values()]


def of_variant(name: str, variant: catalog.Variant) -> CheckpointModel:
    """The checkpoint of a variant in a set; without a resolution of its own, that at which it was trained.

    Raises NoSuchWeights that names those there are.
    """
    there = checkpoints.files(name)
    base, _, resolution = variant.name.partition("@")
    fitting = [
        model for model in there if model == variant.name or (not resolution and model.partition("@")[0] == base)
    ]
    if not fitting:
        raise NoSuchWeights(f"--weights {name} exists for {', '.join(there)}")
    return from_file(there[fitting[0]])
