"""What a quantizer sees before it chooses its scales, and what its file is then compared on: two sets of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models import inputs
from models.artifacts import Artifact
from models.errors import UnsupportedModel
from models.export.recipe import digest
from results.records import Record, Text

NATURAL = "synthetic natural images"
NATURAL_SAMPLES, DATASET_SAMPLES, PROBES = 32, 128, 32
_FIRST_SEED = 1000  # the reference pair is seed 0's, the statistics of random weights are those of 0 and 1

Arrays = list[NDArray[np.float32]]


class CalibrationSource(Record):
    """Where the inputs come from: made up, or `dataset` (an expression) with the hash of its contents.

    `identity` is what a key depends on.
    """

    kind: Literal["natural", "dataset"] = "natural"
    name: Text = NATURAL
    samples: Annotated[int, Field(ge=1, le=4096)] = NATURAL_SAMPLES
    dataset: Text = ""
    dataset_sha256: Text = ""

    @property
    def identity(self) -> str:
        """The same for the same inputs, of one network."""
        return digest({**self.model_dump(exclude={"dataset"}), "first": _FIRST_SEED, "probes": PROBES})


def check(base: Artifact) -> None:
    """Raises UnsupportedModel for a file that cannot be fed with images, one at a time."""
    if base.precision != "fp32":
        raise UnsupportedModel(f"{base.model}: the file is {base.precision}; other precisions are made of fp32 files")
    specs = base.inputs
    if len(specs) != 1 or specs[0].dtype != "float32" or len(specs[0].shape) != 4 or specs[0].is_dynamic:
        words = ", ".join(f"{spec.dtype}{list(spec.shape)}" for spec in specs)
        raise UnsupportedModel(
            f"{base.model}: other precisions are made of models with one float32 image as their input, of a size that "
            f"the file fixes; this one takes {words}"
        )


def natural(base: Artifact, count: int, seed: int) -> Arrays:
    """Synthetic images in the layout of the file."""
    shape = base.inputs[0].shape
    if base.format == "onnx":
        return [inputs.natural_image(shape, seed + number) for number in range(count)]
    batch, height, width, channels = shape
    images = (inputs.natural_image((batch, channels, height, width), seed + number) for number in range(count))
    return [np.ascontiguousarray(image.transpose(0, 2, 3, 1)) for image in images]


def gather(base: Artifact, source: CalibrationSource) -> tuple[Arrays, Arrays]:
    """The inputs to calibrate with, and others to compare on."""
    first, probes = source.samples, PROBES
    every = natural(base, first + probes, _FIRST_SEED)
    return every[:first], every[first:]


def sha256(arrays: Sequence[NDArray[np.float32]]) -> str:
    """Of the inputs as they are fed, little-endian, one after the other."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(repr(array.shape).encode())
        content.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return content.hexdigest()
