"""The data set on which a run measures accuracies: prepared for each model that fits it, and how models are fed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.errors import NothingToRun
from harness.jobs import accuracy
from harness.jobs.accuracy import Accuracy, Feed
from harness.jobs.latency import Target
from harness.jobs.segmentation import MapFeed, Segmentation
from harness.link.ready import File
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.datasets import Images, SegmentationDataset
from models.datasets.packed import Chunk, Packed, PackedRecord, pack
from models.errors import UnusableModel
from models.preprocessing import Preprocessing, preprocessing_of
from results.records import Case, DatasetFacts, InputSpec, OutputSpec, packed, shortened


@dataclass(frozen=True)
class AccuracyRequest:
    """On which data set accuracies are measured, and on how many of its samples, all where None.

    `is_default` says that nobody asked for it: of models that do not fit it nothing is said.
    """

    dataset: Images
    samples: int | None = None
    is_default: bool = False

    @property
    def count(self) -> int:
        """How many samples are evaluated."""
        total = len(self.dataset)
        return total if self.samples is None else min(self.samples, total)


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set in the workspace: the chunks that hold the samples of a run, in `folder`."""

    sha256: str
    classes: int
    samples: int
    folder: Path
    chunks: tuple[Chunk, ...]

    def on_device(self, root: PurePosixPath) -> list[accuracy.Chunk]:
        """The chunks where they lie on a device whose folder is `root`."""
        folder = root / "datasets" / self.sha256
        return [
            accuracy.Chunk(
                folder / f"{chunk.sha256}.npy",
                chunk.sha256,
                chunk.first,
                chunk.images,
                None if chunk.masks is None else (folder / f"{chunk.masks}.npy", chunk.masks),
            )
            for chunk in self.chunks
        ]

    def files(self, root: PurePosixPath) -> list[File]:
        """The files that a device needs."""
        folder, names = root / "datasets" / self.sha256, files_of(self.chunks)
        return [File(folder / f"{name}.npy", self.folder / f"{name}.npy", name) for name in names]

    def job(
        self, target: Target, artifact: Artifact, root: PurePosixPath, gap: tuple[int, int], attempt: int
    ) -> Accuracy:
        """What evaluates a model on the samples of a gap, on a device whose folder is `root`. Raises UnusableModel."""
        feed = feed_of(artifact, self.classes, maps=any(chunk.masks for chunk in self.chunks))
        rest = (self.sha256, self.on_device(root), *gap, attempt)
        return Segmentation(target, feed, *rest) if isinstance(feed, MapFeed) else Accuracy(target, feed, *rest)


@dataclass(frozen=True)
class Assigned:
    """The cases: those whose accuracy is measured with their data set, others with the reason why not."""

    cases: tuple[Case, ...]
    datasets: tuple[DatasetFacts, ...] = ()
    sets: tuple[PreparedSet, ...] = ()


def assign(
    asked: AccuracyRequest,
    cases: Sequence[Case],
    artifacts: Mapping[str, Artifact],
    workspace: Workspace,
    say: Callable[[str], None],
) -> Assigned:
    """Prepare the data set for every model that fits it; `artifacts` is case_id -> artifact. Raises ModelError."""
    made: dict[str, tuple[Packed, Preprocessing]] = {}  # by what decides the bytes
    found = []
    for case in cases:
        artifact = artifacts.get(case.case_id)
        if artifact is not None and (reason := why_not(artifact, asked.dataset)):
            if not asked.is_default:
                words = shortened(f"no accuracy on {asked.dataset.name}: {reason}")
                case = case.model_copy(update={"unevaluated": words})
        elif artifact is not None:
            preprocessing = preprocessing_of(artifact.preprocessing, artifact.model)
            geometry = str(preprocessing.geometry())
            if geometry not in made:
                made[geometry] = _packed(asked, preprocessing, workspace, say), preprocessing
            case = case.model_copy(update={"dataset": made[geometry][0].key})
        found.append(case)
    return Assigned(
        tuple(found),
        tuple(_facts(prepared, in_words(preprocessing)) for prepared, preprocessing in made.values()),
        tuple(_set(prepared) for prepared, _ in made.values()),
    )


def why_not(artifact: Artifact, dataset: Images) -> str:
    """Say why the accuracy of a model is not measured on a data set, "" where it can be."""
    if artifact.weights == "random":
        return "its weights are random"
    try:
        feed_of(artifact, len(dataset.classes), maps=isinstance(dataset, SegmentationDataset))
    except UnusableModel as exc:
        return str(exc)
    return ""


def files_of(chunks: Sequence[Chunk]) -> list[str]:
    """The SHA-256 of every file of these chunks, that of masks included."""
    return [name for chunk in chunks for name in (chunk.sha256, chunk.masks) if name is not None]


def feed_of(artifact: Artifact, classes: int, *, maps: bool = False) -> Feed:
    """Return how prepared images become the model's input, and where its scores of so many classes stand.

    With `maps` it has scores for every pixel of the image. Raises UnusableModel that says what keeps it from being
    evaluated.
    """
    if len(artifact.inputs) != 1:
        raise UnusableModel(f"{artifact.model} has {len(artifact.inputs)} inputs, and an image is one")
    (spec,) = artifact.inputs
    preprocessing = preprocessing_of(artifact.preprocessing, artifact.model)
    height, width, channels = preprocessing.shape
    if spec.shape[1:] not in ((channels, height, width), (height, width, channels)):
        raise UnusableModel(
            f"{artifact.model} has an input of {spec.shape}, its preprocessing makes images of {preprocessing.shape}"
        )
    batch, table = spec.shape[0], in_type(preprocessing.table(), spec)
    for position, output in enumerate(artifact.outputs):
        if maps and output.shape in (planar := (batch, classes, height, width), (batch, height, width, classes)):
            axis = 1 if output.shape == planar else 3
            return MapFeed(table, position, classes, batch, class_axis=axis, pixels=height * width)
        if not maps and output.shape[:1] == (batch,) and prod(output.shape) == batch * classes:
            return Feed(table, position, classes, batch, scale=output.scale, zero_point=output.zero_point)
    what = f"{classes} classes" + (f" and each of {height}x{width} pixels" if maps else "")
    raise UnusableModel(f"{artifact.model} has no output for {what}, it has {_shapes(artifact.outputs)}")


def in_type(table: NDArray[np.float32], spec: InputSpec) -> NDArray[Any]:
    """What a byte becomes in each channel, (256, channels), in the type of the input: quantized where it has a scale.

    An input of unsigned bytes without a scale takes them as they are. Raises UnusableModel for any other.
    """
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return table.astype(dtype)
    if dtype.kind not in "iu":
        raise UnusableModel(f"its input takes {spec.dtype}, no numbers that an image could be")
    if spec.scale is not None:
        limits = np.iinfo(dtype)
        steps = np.round(table / np.float32(spec.scale)) + spec.zero_point
        quantized: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(dtype)
        return quantized
    if dtype == np.uint8:
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], table.shape[1], axis=1)
    raise UnusableModel(f"its input takes {spec.dtype} and the file does not say by which scale")


def in_words(preprocessing: Preprocessing) -> str:
    """What is done to images before they are normalized."""
    square = f"{preprocessing.crop}x{preprocessing.crop}"
    resize = f"to {preprocessing.resize} ({preprocessing.interpolation})"
    resized = {
        "shorter side": f"shorter side {resize}, center {square}",
        "longer side": f"longer side {resize}, padded to {square}",
        "stretch": f"both sides {resize}, center {square}",
        "none": f"center {square}",
    }[preprocessing.rule]
    return f"{resized}, {preprocessing.channel_order}"


def stored(facts: DatasetFacts, workspace: Workspace) -> PreparedSet:
    """Return the prepared data set that a run began with. Raises NothingToRun when it is gone or damaged."""
    folder = workspace.datasets / facts.sha256
    try:
        record = PackedRecord.model_validate_json((folder / "dataset.json").read_bytes())
    except (OSError, ValidationError) as exc:
        raise _gone(facts, folder) from exc
    chunks = tuple(chunk for chunk in record.chunks if chunk.first < facts.samples)
    held = sum(chunk.images for chunk in chunks)
    if held < facts.samples or not all((folder / f"{name}.npy").is_file() for name in files_of(chunks)):
        raise _gone(facts, folder)
    return PreparedSet(facts.sha256, len(facts.classes), facts.samples, folder, chunks)


def _gone(facts: DatasetFacts, folder: Path) -> NothingToRun:
    return NothingToRun(
        f"the images of {facts.name} that this run began with are gone or damaged ({folder}); "
        "measure the accuracy anew with bench accuracy"
    )


def _packed(
    asked: AccuracyRequest, preprocessing: Preprocessing, workspace: Workspace, say: Callable[[str], None]
) -> Packed:
    words = f"preparing {asked.count} images of {asked.dataset.name} ({in_words(preprocessing)})"
    told: list[int] = []

    def tell(done: int, total: int) -> None:
        if not told:  # nothing is said where all are there
            say(words)
        if not told or done - told[-1] >= 10_000:
            told.append(done)
            if done >= 10_000:
                say(f"{words}: {done} of {total}")

    return pack(asked.dataset, preprocessing, workspace.datasets, asked.count, on_progress=tell)


def _set(made: Packed) -> PreparedSet:
    return PreparedSet(made.key, len(made.record.classes), made.samples, made.folder, made.chunks)


def _facts(made: Packed, preprocessing: str) -> DatasetFacts:
    record, has_masks = made.record, any(chunk.masks for chunk in made.chunks)
    return DatasetFacts(
        name=record.name,
        split=record.split,
        sha256=made.key,
        classes=record.classes,
        total=record.total,
        samples=made.samples,
        metric="mean IoU %" if has_masks else "top-1 %",
        labels="" if has_masks else packed(made.labels[: made.samples].astype(np.uint32)),
        preprocessing=preprocessing,
        notes=record.notes,
    )


def _shapes(outputs: Sequence[OutputSpec]) -> str:
    return ", ".join("x".join(map(str, output.shape)) or "a number" for output in outputs[:3]) or "none"
