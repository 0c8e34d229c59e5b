"""The record of one variant of the zoo, and the builders that the tables in `models.zoo.variants` use.

Nothing here needs PyTorch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.preprocessing import ChannelOrder, Interpolation, Preprocessing, Rule

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

Task = Literal["classification", "segmentation"]


@dataclass(frozen=True)
class Family:
    """What the variants of one file have in common."""

    name: str
    year: int
    idea: str
    source: str
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    channel_order: ChannelOrder = "RGB"
    range: tuple[float, float] = (0.0, 1.0)
    rule: Rule = "shorter side"


@dataclass(frozen=True)
class Variant:
    """One network at one resolution. `factory` is "module:callable", called with `arguments`.

    It answers one logit per class, for the image (`classification`) or for each of its pixels (`segmentation`).
    A reconstruction fills gaps of its paper, which does not fix every layer, or follows no published code.
    """

    name: str
    family: str
    resolution: int
    factory: str
    arguments: Mapping[str, Any] = field(hash=False)
    default: bool
    year: int
    idea: str
    source: str
    preprocessing: Preprocessing
    reconstruction: bool = False
    task: Task = "classification"
    classes: int = 1000


def build(
    family: Family,
    name: str,
    factory: str,
    arguments: dict[str, Any],
    *,
    default: bool = False,
    resolution: int = 224,
    crop_fraction: float = 0.875,
    reconstruction: bool = False,
    task: Task = "classification",
    classes: int = 1000,
) -> Variant:
    """A variant made by the callable `factory` of the file named like the family."""
    resize = int(resolution / crop_fraction)
    preprocessing = Preprocessing(
        resize=resize,
        crop=resolution,
        interpolation=family.interpolation,
        mean=family.mean,
        std=family.std,
        channel_order=family.channel_order,
        range=family.range,
        rule=family.rule,
    )
    return Variant(
        name,
        family.name,
        resolution,
        f"models.zoo.{family.name}:{factory}",
        arguments,
        default,
        family.year,
        family.idea,
        family.source,
        preprocessing,
        reconstruction,
        task,
        classes,
    )


def widths(family: Family, prefix: str, factory: str, values: tuple[float, ...]) -> list[Variant]:
    """One variant per width multiplier, the first of them the default of its architecture."""
    return [
        build(family, f"{prefix}_{width}", factory, {"width": width}, default=width == values[0]) for width in values
    ]
