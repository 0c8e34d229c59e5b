"""The classes of pixels for the images of a data set, counted on the device against their masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from harness.agent.jobs import segmentation as device_side
from harness.errors import AgentError
from harness.jobs.accuracy import PART_NUMBERS, PART_SAMPLES, Accuracy, Digits, Feed, Told, array_of
from harness.jobs.base import Terms
from results.records.packed import packed

# Base64 of a count, and the event around the counts.
_COUNT_BYTES, _EVENT_BYTES = 6, 1 << 10


class Part(Told):
    """How many pixels of some samples were taken for which class: (count, classes, classes) of uint32."""

    event: Literal["part"]
    confusion: Digits


@dataclass(frozen=True)
class MapFeed(Feed):
    """Of a model that answers maps of `pixels` pixels, with the classes along `class_axis` of the output."""

    class_axis: int = 1
    pixels: int = 0

    @property
    def keep(self) -> int:
        """Maps stay on the device."""
        return 0

    @property
    def part_samples(self) -> int:
        return max(1, min(PART_SAMPLES, PART_NUMBERS // self.classes**2))


@dataclass(frozen=True)
class Segmentation(Accuracy):
    """As `Accuracy`; the data set's chunks have masks."""

    name = "segmentation"
    part: ClassVar[type[Told]] = Part

    feed: MapFeed

    @property
    def max_bytes(self) -> int:
        return (1 << 20) + self.count * (_EVENT_BYTES + _COUNT_BYTES * self.feed.classes**2)

    def request(self, terms: Terms) -> device_side.Request:
        asked = vars(super().request(terms))
        masks = {chunk.first: chunk.masks for chunk in self.chunks if chunk.masks is not None}
        for chunk in asked["chunks"]:
            path, sha256 = masks[chunk["first"]]
            chunk["masks"] = {"path": str(path), "sha256": sha256}
        return device_side.Request(**asked, class_axis=self.feed.class_axis)

    def read(self, part: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        classes = self.feed.classes
        counts = array_of(part.confusion, "<u4", (part.count, classes, classes))
        most = int(counts.sum(axis=(1, 2), dtype=np.uint64).max())
        if most > self.feed.pixels:
            raise AgentError(f"{most} pixels of an image are told of, and it has {self.feed.pixels}")
        return {"confusion": packed(counts.astype(np.uint32))}, {}
