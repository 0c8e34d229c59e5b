"""The control as a model like any other (`models.control`): nothing of it has to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from models import control
from models.artifacts import FORMATS, TOLERANCES, Artifact, Form, Format
from models.errors import ModelError
from models.export.orders import Order, Target
from models.export.recipe import digest
from models.sources.base import Prepared, Source, Weights
from models.store import ArtifactStore
from results.files import sha256_of
from results.records import InputSpec, ModelFacts, OutputSpec

# What the files call their input and output.
_TENSORS = {"onnx": ("input", "output"), "tflite": ("serving_default_args_0", "serving_default_output_0_output")}


@dataclass(frozen=True)
class ControlModel(Source):
    """The network that is measured in every run."""

    rank: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """The same in every run."""
        return control.NAME

    @property
    def weights(self) -> str:
        """Drawn once."""
        return "random"

    def weighted(self, weights: Weights) -> ControlModel:
        """It has no others."""
        return self

    def look_up(self, store: ArtifactStore) -> Prepared:
        """Its shipped files are put into the store. Raises ModelError where they are not what was shipped."""
        return Prepared(self, artifacts={Form(kind, "fp32"): _artifact(store, kind) for kind in FORMATS})

    def order(self, store: ArtifactStore, targets: list[Target]) -> Order:
        """Never asked for."""
        raise ModelError(f"{self.name}: nothing of it can be made")

    def facts(self, made: Artifact | None) -> ModelFacts:
        """What is known of it without its files."""
        return ModelFacts(
            name=self.name,
            weights=self.weights,
            resolution=control.RESOLUTION,
            parameters=control.PARAMETERS,
            multiply_adds=control.MULTIPLY_ADDS,
        )


def _artifact(store: ArtifactStore, kind: Format) -> Artifact:
    key = digest({"control": [control.SHA256[kind], control.SHA256["npz"]]})
    with store.lock(key):
        return store.find(key) or _add(store, kind, key)


def _add(store: ArtifactStore, kind: Format, key: str) -> Artifact:
    for ending in (kind, "npz"):
        path = control.path(ending)
        if not path.is_file() or sha256_of(path) != control.SHA256[ending]:
            raise ModelError(f"{path}: not the file that bench ships; install bench again, or run with --no-control")
    with np.load(control.path("npz"), allow_pickle=False) as arrays:
        image, answer = arrays["in0"], arrays["out0"]
    fed = image if kind == "onnx" else np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    taken, given = _TENSORS[kind]
    return store.add(
        control.path(kind),
        [fed],
        [answer],
        format=kind,
        model=control.NAME,
        precision="fp32",
        inputs=(InputSpec(name=taken, dtype="float32", shape=fed.shape, values="a synthetic image"),),
        outputs=(OutputSpec(name=given, dtype="float32", shape=answer.shape),),
        weights="random",
        resolution=control.RESOLUTION,
        parameters=control.PARAMETERS,
        multiply_adds=control.MULTIPLY_ADDS,
        tolerance=TOLERANCES["fp32"],
        reference="pytorch",
        key=key,
    )
