"""What is known about a model file that can be measured: its record in the artifact store (`models.store`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from models.batch import batch_of
from results.files import sha256_of
from results.records import (
    Accuracy,
    ArtifactFacts,
    Calibration,
    InputSpec,
    OutputSpec,
    Quality,
    Record,
    Sha256,
    ShapesFixed,
    Text,
    Word,
)

Format = Literal["onnx", "tflite"]
Precision = Literal["fp32", "fp16", "bf16", "int8", "int16x8", "int4"]
FORMATS: tuple[Format, ...] = ("onnx", "tflite")


class Form(NamedTuple):
    """What tells the files of one model apart; of a file that nobody has read yet the precision may be unknown.

    `method` is how the precision was made, "" for a file as it was exported or given.
    """

    format: Format
    precision: Precision | Literal["unknown"]
    method: str = ""


# Accepted max |difference| on a device over max |reference output|, computing in the artifact's own precision.
TOLERANCES: dict[Precision, float] = {
    "fp32": 1e-3,
    "fp16": 2e-2,
    "bf16": 1e-1,
    "int8": 1e-1,
    "int16x8": 2e-2,
    "int4": 1e-1,
}

Count = Annotated[int, Field(ge=0, le=2**60)]


class SourceFile(Record):
    """A file of the user's that went into an artifact; `path` is relative to the folder of the model file."""

    path: Text
    sha256: Sha256


class WeightsOrigin(Record):
    """Where trained weights come from and under which terms; `sha256` is that of their file, where it is known."""

    package: Text
    version: Text
    license: Text
    homepage: Text
    sha256: Sha256 | None = None


class Artifact(Record):
    """One model file in the store and everything known about it.

    `tolerance` bounds max |device - reference| / max |reference| for every output of floats that has none of its own
    (`OutputSpec`, `models.comparison`). `max_abs_diff` is that between the exporter's file, run on this host, and
    PyTorch; None for the user's own files. `reference` says who computed the
    outputs in the io file; `none`, with its reason, means that there are no outputs to compare with. `weights` is
    `random`, `own` or the name of a trained set, whose `accuracy` may be known. `recipe` is the key without the
    exporters' versions. `files` are those of external data, beside the model file; with any, `sha256` names all of them
    together, and `model_sha256` the model file alone. `subgraph` is the graph of a TFLite file that runs; of any but
    the first, inputs and outputs are those of `signature`. `notes` are decisions taken for the user, in words; the
    fields before `files` are as in `ArtifactFacts`.
    """

    sha256: Sha256
    format: Format
    file: Text
    size_bytes: Count
    model: Text
    precision: Precision
    method: Word = ""
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    signature: Text | None = None
    subgraph: Count = 0
    weights_precision: Word = ""
    activations_precision: Word = ""
    shapes_fixed: ShapesFixed = "in the file"
    nonfinite: Text = ""
    calibration: Calibration | None = None
    quality: Quality | None = None
    files: tuple[SourceFile, ...] = ()
    model_sha256: Sha256 | None = None
    weights: Text
    weights_origin: WeightsOrigin | None = None
    accuracy: Accuracy | None = None
    resolution: int | None = None
    parameters: Count | None = None
    multiply_adds: Count | None = None
    preprocessing: dict[str, Any] = Field(default_factory=dict)
    exporter: dict[str, str] = Field(default_factory=dict)
    opset: int | None = None
    max_abs_diff: float | None = None
    tolerance: Annotated[float, Field(gt=0)]
    reference: Literal["pytorch", "onnxruntime", "litert", "none"]
    reference_reason: Text = ""
    io_sha256: Sha256
    key: Sha256
    recipe: Sha256 | None = None
    created_at: Text
    sources: tuple[SourceFile, ...] = ()
    notes: tuple[Text, ...] = ()

    @property
    def batch(self) -> int | None:
        """How many examples one inference computes, as far as the shapes tell."""
        return batch_of(self.inputs, self.outputs)

    @property
    def facts(self) -> ArtifactFacts:
        """What a row says of it."""
        exported = "fp32" if self.reference == "pytorch" and self.precision == "fp32" else ""  # throughout
        return ArtifactFacts(
            sha256=self.sha256,
            io_sha256=self.io_sha256,
            inputs=self.inputs,
            batch=self.batch,
            signature=self.signature,
            weights=self.weights_precision or exported,
            activations=self.activations_precision or exported,
            shapes_fixed=self.shapes_fixed,
            unverified=self.reference_reason,
            nonfinite=self.nonfinite,
            size_bytes=self.size_bytes,
            calibration=self.calibration,
            quality=self.quality,
            notes=self.notes,
        )

    @property
    def file_sha256(self) -> str:
        """The hash of the model file alone."""
        return self.model_sha256 or self.sha256

    @property
    def form(self) -> Form:
        """Its key among the artifacts of its model."""
        return Form(self.format, self.precision, self.method)

    def is_made_of(self, folder: Path) -> bool:
        """Whether every file that went into it (external data, too) is still what it was."""
        try:
            return all(sha256_of(folder / source.path) == source.sha256 for source in self.sources)
        except OSError:
            return False
