"""A model that was asked for, wherever it comes from: what is there of it, what is to be made, what is known of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from zlib import crc32

from models.artifacts import FORMATS, Artifact, Form
from models.errors import ExportFailed, ModelError
from models.export import recipe
from models.export.orders import DerivedTarget, NetworkTarget, Order, Target
from models.given import NOTHING, Given
from models.store import ArtifactStore
from results.records import ModelFacts

Weights = str
"""Which weights are asked for: `random`, `imagenet`, `pretrained`, or a set of `models.checkpoints`."""

_MOST_CHOSEN = 200  # characters of signature and sizes in a name
INSTALL = "install the exporters: pip install 'edgebench[export]'"


@dataclass
class Prepared:
    """A model with its artifacts; `targets` are still to be made, `errors` say why others could not be.

    `fatal` is what ends the whole call where it is not only this model that cannot be had.
    """

    source: Source
    artifacts: dict[Form, Artifact] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    errors: dict[Form, ModelError] = field(default_factory=dict)
    fatal: ModelError | None = None

    @property
    def name(self) -> str:
        """The model's name in every table: with the signature that was asked for where it has a graph of its own, and
        the sizes that were given where the file leaves them open.

        So the same model at two sizes is two models, each with its own series.
        """
        found = (_chosen(artifact) for artifact in self.artifacts.values())
        return self.source.name + next(filter(None, found), "")

    @property
    def failures(self) -> dict[Form, str]:
        """Why there is no artifact of a form, in words."""
        return {form: str(error) for form, error in self.errors.items()}

    @property
    def facts(self) -> ModelFacts:
        """What is known about the model besides how fast it runs."""
        known = self.source.facts(next(iter(self.artifacts.values()), None))
        return known.model_copy(update={"name": self.name})

    def settle(self, target: Target, outcome: Artifact | ModelError) -> None:
        """Take what became of a target."""
        self.targets.remove(target)
        if isinstance(outcome, Artifact):
            self.artifacts = dict(sorted([*self.artifacts.items(), (outcome.form, outcome)]))
            return
        self.errors[target.form] = outcome
        if isinstance(target, DerivedTarget):
            return  # the fp32 file is there all the same
        if not isinstance(outcome, self.source.costs_one_file):
            self.fatal = self.fatal or outcome


def _chosen(artifact: Artifact) -> str:
    """Like `@1x3x320x320`: the shapes that somebody chose, each once; "" where the file or a default gave them all."""
    shapes = [spec.shape for spec in artifact.inputs if spec.is_dynamic and "sizes" not in spec.made_up]
    signature = [artifact.signature or ""] if artifact.subgraph else []
    words = ",".join([*signature, *("x".join(map(str, shape)) for shape in dict.fromkeys(shapes) if shape)])
    if len(words) > _MOST_CHOSEN:
        words = f"{words[:_MOST_CHOSEN]}…{crc32(words.encode()):08x}"
    return f"@{words}" if words else ""


class Source(ABC):
    """Where one model comes from."""

    rank: ClassVar[int]
    """What is prepared first: mistakes should show before minutes of export."""
    costs_one_file: ClassVar[tuple[type[ModelError], ...]] = (ExportFailed,)
    """Errors that leave a file out; any other ends the whole call. The first is that of a worker that breaks down."""
    given: Given = NOTHING
    """What was typed about inputs, of whichever model they are."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the model is called in every table; unique among what was chosen."""

    @property
    @abstractmethod
    def weights(self) -> str:
        """Which weights were asked for; `own` for those of the user's file."""

    @property
    def trained_on(self) -> str:
        """The data set that its weights are from, as `models.datasets.open_dataset` takes it; "" for any other."""
        return ""

    @property
    def folders(self) -> tuple[str, ...]:
        """What can be put before its name to tell it from an equal one."""
        return ()

    @property
    def fault(self) -> ModelError | None:
        """Why nothing can be had of it, where that is known beforehand."""
        return None

    def renamed(self, name: str) -> Source:
        """The same model under another name."""
        return self

    @abstractmethod
    def weighted(self, weights: Weights) -> Source:
        """The same model with other weights. Raises NoSuchWeights."""

    @abstractmethod
    def look_up(self, store: ArtifactStore) -> Prepared:
        """What is there of it and what is to be made. Raises ModelError when a package is missing to make it with."""

    @abstractmethod
    def order(self, store: ArtifactStore, targets: list[Target]) -> Order:
        """What a worker is told to make the targets."""

    def facts(self, made: Artifact | None) -> ModelFacts:
        """What is known about it; `made` is one of its artifacts, if there is one."""
        if made is None:
            return ModelFacts(name=self.name, weights=self.weights)
        return ModelFacts(
            name=self.name,
            weights=made.weights,
            resolution=made.resolution,
            parameters=made.parameters,
            multiply_adds=made.multiply_adds,
            accuracies=(made.accuracy,) if made.accuracy else (),
        )


class NetworkSource(Source):
    """A network in PyTorch that is exported to every format."""

    @abstractmethod
    def recipe(self, form: Form) -> str:
        """What an artifact is made from, versions of the exporters aside."""

    def packages(self) -> Mapping[str, str] | None:
        """Versions of the library that it is taken from; None where that is not installed."""
        return {}

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Without the exporters, or without the library, an artifact that another machine has made will do."""
        prepared, library = Prepared(self), self.packages()
        for kind in FORMATS:
            form, exporters = Form(kind, "fp32"), recipe.exporter_versions(kind)
            what = self.recipe(form)
            if exporters is None or library is None:
                found, target = store.find_recipe(what), None
            else:
                versions = {**exporters, **library}
                key = recipe.network_key(what, versions)
                found = store.find(key)
                target = NetworkTarget(format=kind, precision="fp32", key=key, recipe=what, versions=versions)
            if found is not None:
                prepared.artifacts[found.form] = found
            elif target is not None:
                prepared.targets.append(target)
            else:
                lacking = f"the exporters of {kind} are not installed here; {INSTALL}"
                prepared.errors[form] = ExportFailed(
                    lacking if exporters is None else "its library is not installed here"
                )
        if not prepared.artifacts and not prepared.targets:
            prepared.fatal = ExportFailed(
                f"{self.name}: not in the store and PyTorch's exporters are missing; {INSTALL}"
            )
        return prepared
