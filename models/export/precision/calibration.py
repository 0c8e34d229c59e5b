"""What a quantizer sees before it chooses its scales, and what its file is then compared on: two sets of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models import inputs
from models.artifacts import Artifact
from models.datasets import open_dataset
from models.datasets.base import Images
from models.datasets.order import stratified_order
from models.errors import UnknownDataset, UnsupportedModel
from models.export.recipe import digest
from models.preprocessing import preprocessing_of
from results.records import Record, Text

NATURAL = "synthetic natural images"
NATURAL_SAMPLES, DATASET_SAMPLES, PROBES = 32, 128, 32
_FIRST_SEED = 1000  # the reference pair is seed 0's, the statistics of random weights are those of 0 and 1

Arrays = list[NDArray[np.float32]]


class CalibrationSource(Record):
    """Where the inputs come from: made up, or images of a data set; `identity` is what a key depends on.

    `dataset` is an expression as `open_dataset` takes it, with its split; `contents` the identity of what it holds.
    """

    name: Text = NATURAL
    samples: Annotated[int, Field(ge=1, le=4096)] = NATURAL_SAMPLES
    dataset: Text = ""
    contents: Text = ""

    @property
    def identity(self) -> str:
        """The same for the same inputs of one network."""
        return digest({**self.model_dump(exclude={"dataset"}), "first": _FIRST_SEED, "probes": PROBES})


@cache
def of_dataset(expression: str) -> CalibrationSource:
    """Images of a data set: of its training split, where it has one and no other is named.

    Raises UnknownDataset, UnreadableDataset.
    """
    named = _open(expression)
    return CalibrationSource(
        name=f"{named.name}, {named.split}",
        samples=min(DATASET_SAMPLES, max(1, len(named) - PROBES)),
        dataset=f"{expression.partition(':')[0]}:{named.split}" if ":" not in expression else expression,
        contents=named.identity,
    )


def _open(expression: str) -> Images:
    """What was evaluated on should not be calibrated with, so the training split comes first."""
    if ":" not in expression:
        with suppress(UnknownDataset):
            return open_dataset(f"{expression}:train")
    return open_dataset(expression)


def check(base: Artifact) -> None:
    """Raises UnsupportedModel for a file that cannot be fed with images."""
    if base.precision != "fp32":
        raise UnsupportedModel(f"{base.model}: the file is {base.precision}; other precisions are made of fp32 files")
    specs = base.inputs
    if len(specs) != 1 or specs[0].dtype != "float32" or len(specs[0].shape) != 4 or specs[0].is_dynamic:
        words = ", ".join(f"{spec.dtype}{list(spec.shape)}" for spec in specs)
        raise UnsupportedModel(
            f"{base.model}: other precisions are made of models with one float32 image as their input, of a size that "
            f"the file fixes; this one takes {words}"
        )


def gather(base: Artifact, source: CalibrationSource) -> tuple[Arrays, Arrays]:
    """The inputs to calibrate with, and others to compare on, each in the shape that the file takes.

    Raises UnusableModel where nothing says how an image becomes an input, and what reading the data set does.
    """
    count = source.samples + PROBES
    every = _images(base, source, count) if source.dataset else _natural(base, count)
    return every[: source.samples], every[source.samples :]


def _natural(base: Artifact, count: int) -> Arrays:
    shape = base.inputs[0].shape
    if not _is_channels_last(shape):
        return [inputs.natural_image(shape, _FIRST_SEED + number) for number in range(count)]
    batch, height, width, channels = shape
    made = (inputs.natural_image((batch, channels, height, width), _FIRST_SEED + number) for number in range(count))
    return [np.ascontiguousarray(image.transpose(0, 2, 3, 1)) for image in made]


def _images(base: Artifact, source: CalibrationSource, count: int) -> Arrays:
    """A stratified sample, as the network was trained to see it; fewer images than that are used again."""
    shape = base.inputs[0].shape
    is_last = _is_channels_last(shape)
    batch, side = shape[0], shape[1] if is_last else shape[2]
    preprocessing = preprocessing_of(base.preprocessing, base.model)
    if preprocessing.crop != side:
        preprocessing = preprocessing.at(side)
    data = open_dataset(source.dataset)
    order = stratified_order(data.labels)
    chosen = [int(order[number % len(order)]) for number in range(count * batch)]
    loaded = {index: preprocessing.apply(load().picture) for index, load in data.samples(sorted(set(chosen)))}
    fed = [preprocessing.normalized(loaded[index]) for index in chosen]
    stacked = (np.stack(fed[start : start + batch]) for start in range(0, len(fed), batch))
    return [np.ascontiguousarray(one if is_last else one.transpose(0, 3, 1, 2)) for one in stacked]


def _is_channels_last(shape: tuple[int, ...]) -> bool:
    """Of a batch of images: there are at most 4 channels, and more rows than that."""
    return shape[3] <= 4 < shape[1]


def sha256(arrays: Sequence[NDArray[np.float32]]) -> str:
    """Of the inputs as they are fed, little-endian, one after the other."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(repr(array.shape).encode())
        content.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return content.hexdigest()
