"""What a worker is told (one JSON document on its stdin) and what it tells (JSON lines on its stdout)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from models.artifacts import Form, Format, Precision
from models.diff.layout import Part
from models.export.precision.calibration import CalibrationSource
from models.given import NOTHING, Given
from models.settings import Settings
from results.records import InputSpec, Record


class NetworkTarget(Record):
    """One file to export, the key and the recipe it is stored under, and the exporters' versions."""

    format: Format
    precision: Precision
    method: str = ""
    key: str
    recipe: str
    versions: dict[str, str]

    @property
    def form(self) -> Form:
        """What the file will be."""
        return Form(self.format, self.precision, self.method)


class ZooOrder(Record):
    """Export one zoo variant."""

    kind: Literal["zoo"] = "zoo"
    store: str
    model: str
    variant: str
    weights: Literal["random", "imagenet"]
    targets: tuple[NetworkTarget, ...]


class LibraryOrder(Record):
    """Export one network of a library that the user installed."""

    kind: Literal["library"] = "library"
    store: str
    model: str
    library: Literal["timm", "torchvision"]
    network: str
    resolution: int | None
    weights: Literal["random", "pretrained"]
    targets: tuple[NetworkTarget, ...]


class CheckpointOrder(Record):
    """Export the network of one checkpoint, whose file has this hash."""

    kind: Literal["checkpoint"] = "checkpoint"
    store: str
    model: str
    path: str
    sha256: str
    targets: tuple[NetworkTarget, ...]


class PartnerOrder(Record):
    """Export one zoo variant with the weights of a library's network."""

    kind: Literal["partner"] = "partner"
    store: str
    model: str
    variant: str
    partner: LibraryOrder
    targets: tuple[NetworkTarget, ...]


class OptimizedOrder(Record):
    """Export the network of another order, transformed; what that is to export does not count."""

    kind: Literal["optimized"] = "optimized"
    store: str
    model: str
    network: Annotated[ZooOrder | CheckpointOrder | PartnerOrder, Field(discriminator="kind")]
    optimize: str
    targets: tuple[NetworkTarget, ...]


NetworkOrder = ZooOrder | LibraryOrder | CheckpointOrder | PartnerOrder | OptimizedOrder


class FileTarget(Record):
    """One of the user's own files and the key it is stored under; `precision` where the TOML beside it says it."""

    format: Format
    precision: Precision | None = None
    path: str
    key: str

    @property
    def form(self) -> Form:
        """What the file is, as far as it is known before it is read."""
        return Form(self.format, self.precision or "unknown")


class DerivedTarget(Record):
    """A file in another precision: `base` is the key of the fp32 file it is made of, `versions` those of quantizers."""

    format: Format
    precision: Precision
    method: str
    key: str
    recipe: str
    versions: dict[str, str]
    base: str
    calibration: CalibrationSource

    @property
    def form(self) -> Form:
        """What the file will be."""
        return Form(self.format, self.precision, self.method)


Target = NetworkTarget | FileTarget | DerivedTarget


def networks(targets: Sequence[Target]) -> tuple[NetworkTarget, ...]:
    """Those that are exported from a network."""
    return tuple(target for target in targets if isinstance(target, NetworkTarget))


class FileOrder(Record):
    """Take one own model, of one or two files, into the store."""

    kind: Literal["file"] = "file"
    store: str
    model: str
    settings: Settings
    given: Given = NOTHING
    only_file: bool
    targets: tuple[FileTarget, ...]


class CopiesOrder(Record):
    """Write copies of one stored model file that hand out its inner tensors, into `folder` (`models.diff`).

    `signature` is that of the graph that runs, where it is another than the first of a TFLite file.
    """

    kind: Literal["copies"] = "copies"
    store: str
    model: str
    inputs: tuple[InputSpec, ...]
    signature: str | None
    folder: str
    parts: tuple[Part, ...]
    targets: tuple[FileTarget, ...]


class DerivedOrder(Record):
    """Make files in other precisions of fp32 files that are in the store."""

    kind: Literal["derived"] = "derived"
    store: str
    model: str
    targets: tuple[DerivedTarget, ...]


Order = Annotated[
    ZooOrder | LibraryOrder | CheckpointOrder | PartnerOrder | OptimizedOrder | FileOrder | CopiesOrder | DerivedOrder,
    Field(discriminator="kind"),
]
ORDER: TypeAdapter[Order] = TypeAdapter(Order)


class Event(Record):
    """Of the target `key`: a stage begins, it is in the store, or it failed.

    `error` is the name of a ModelError; empty, the maker itself broke down.
    """

    event: Literal["stage", "artifact", "error"]
    format: Format
    key: str
    stage: str = ""
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    error: str = ""
    message: str = ""
