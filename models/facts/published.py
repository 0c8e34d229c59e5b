"""Published figures of the zoo's variants: accuracy and cost. Needs no PyTorch.

`published.csv` (ImageNet-1k) and `published_segmentation.csv` (PASCAL VOC 2012 val, images at one scale) have one row
per figure and resolution, only for networks with the parameters counted here. Of the rows of one variant at one
resolution exactly one is preferred: the paper's or, failing that, its authors' release, then torchvision, timm, others.
A figure marked `recalled` was not re-read at its source and is preferred only alone.

`published_costs.csv` has parameters and multiply-adds, in millions with as many digits as were printed, from the
paper or its authors' release. `differences.csv` says why counts made here differ from them, for the variants that
match a wildcard pattern.
"""

import csv
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models.zoo import catalog
from results.records import Accuracy

MEAN_IOU = ("mean IoU %", "PASCAL VOC 2012 val")  # metric and data set


@dataclass(frozen=True)
class Fact:
    """One published figure; top-1 and top-5 accuracy, or the mean intersection over union, in percent."""

    variant: str
    resolution: int
    top1: float | None
    top5: float | None
    source: str
    recalled: bool
    preferred: bool
    note: str
    mean_iou: float | None = None


def facts(name: str) -> list[Fact]:
    """All figures for a variant at its resolution ("mobilenet_v1_1.0@192": at 192), the preferred one first."""
    variant = catalog.get(name)
    base = variant.name.partition("@")[0]
    return [fact for fact in table() if (fact.variant, fact.resolution) == (base, variant.resolution)]


def preferred(name: str) -> Fact | None:
    """The figure to show for a variant, or None where nothing is published at its resolution."""
    return next((fact for fact in facts(name) if fact.preferred), None)


def accuracy(name: str) -> Accuracy | None:
    """The preferred top-1 accuracy as it stands in results; that of a reconstruction is said not to be its own."""
    fact = preferred(name)
    if fact is None:
        return None
    source = f"{fact.source} ({fact.note})" if catalog.get(name).reconstruction else fact.source
    if fact.mean_iou is not None:
        metric, dataset = MEAN_IOU
        return Accuracy(
            value=fact.mean_iou, metric=metric, dataset=dataset, kind="published", source=source, recalled=fact.recalled
        )
    if fact.top1 is None:
        return None
    return Accuracy(value=fact.top1, kind="published", source=source, recalled=fact.recalled)


@cache
def table() -> tuple[Fact, ...]:
    """Every published figure, in the order of the files."""
    return tuple(_fact(row) for name in ("published.csv", "published_segmentation.csv") for row in _rows(name))


@dataclass(frozen=True)
class Cost:
    """Published parameters and multiply-adds, in millions, as printed ("4.2", "569")."""

    parameters_m: str
    multiply_adds_m: str


def cost(name: str) -> Cost | None:
    """The published cost of a variant at its resolution; a resolution of its own changes the multiply-adds alone."""
    variant = catalog.get(name)
    found = costs().get(variant.name)
    base = costs().get(variant.name.partition("@")[0])
    if found is None and base is None:
        return None
    parameters = (found and found.parameters_m) or (base and base.parameters_m) or ""
    return Cost(parameters, found.multiply_adds_m if found else "")


def differences(name: str) -> list[str]:
    """Why the counts made here differ from what is published of a variant, where that is known."""
    base = catalog.get(name).name.partition("@")[0]
    if base not in catalog.names():
        return []  # nothing is published of a width in between
    return [note for pattern, note in known_differences() if fnmatchcase(base, pattern)]


@cache
def costs() -> dict[str, Cost]:
    """Every published cost, by variant."""
    rows = _rows("published_costs.csv")
    return {row["variant"]: Cost(row["parameters_m"], row["multiply_adds_m"]) for row in rows}


@cache
def known_differences() -> tuple[tuple[str, str], ...]:
    """Every pattern of names with why the counts of the variants that match it differ."""
    return tuple((row["variants"], row["note"]) for row in _rows("differences.csv"))


def _rows(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _fact(row: dict[str, str]) -> Fact:
    top1, top5, mean_iou = (float(row[name]) if row.get(name) else None for name in ("top1", "top5", "mean_iou"))
    return Fact(
        variant=row["variant"],
        resolution=int(row["resolution"]),
        top1=top1,
        top5=top5,
        mean_iou=mean_iou,
        source=row["source"],
        recalled=row["recalled"] == "1",
        preferred=row["preferred"] == "1",
        note=row["note"],
    )
