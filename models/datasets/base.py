"""The seam to a data set of images with labels, whatever files it lies in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableDataset

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int32]

MAX_IMAGES = 20_000_000
MAX_CLASSES = 100_000
MAX_CLASS_NAME = 200
_MOST_NAMED = 5  # classes without images, in a note


class Dataset(ABC):
    """Images in a fixed order, each with the index of its class among `classes`.

    `name` and `split` say which data these are; `classes` are the names of the classes in the order of their indices,
    which is that of the outputs of a network that was trained on them.
    """

    name: str
    split: str
    classes: tuple[str, ...]

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """The class of every image, (images,), each from 0 to below the number of classes."""

    @abstractmethod
    def image(self, index: int) -> Pixels:
        """One image as it is shown, (height, width, 3) in RGB. Raises UnreadableDataset that names its file."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells its contents from any other: a SHA-256, the same wherever the files lie."""

    def __len__(self) -> int:
        return len(self.labels)

    def label(self, index: int) -> int:
        """The class of one image."""
        return int(self.labels[index])

    def arrays(self) -> Pixels | None:
        """All images at once, (images, height, width) of grey ones or (…, 3), where they are one array anyway."""
        return None

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about it, in words: classes without an image."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        empty = [self.classes[index] for index in np.flatnonzero(counts == 0)]
        if not empty:
            return ()
        more = f" and {len(empty) - _MOST_NAMED} more" if len(empty) > _MOST_NAMED else ""
        which = ", ".join(empty[:_MOST_NAMED]) + more
        return (f"{len(empty)} of {len(self.classes)} classes have no image: {which}",)


def checked_labels(values: Any, classes: int, place: str) -> Labels:
    """Labels as (images,) of int32. Raises UnreadableDataset for none, too many, or one that is no class."""
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UnreadableDataset(f"{place}: the labels are {labels.dtype} of shape {labels.shape}, not one integer each")
    if not 1 <= len(labels) <= MAX_IMAGES:
        raise UnreadableDataset(f"{place}: {len(labels)} images; a data set has from 1 to {MAX_IMAGES}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        first = int(wrong[0])
        raise UnreadableDataset(
            f"{place}: image {first} has the label {int(labels[first])}, and there are {classes} classes, 0 to "
            f"{classes - 1} ({len(wrong)} such labels); name all classes, or correct the labels (label_offset)"
        )
    return labels.astype(np.int32)


def checked_classes(names: Sequence[str], place: str) -> tuple[str, ...]:
    """Names of classes. Raises UnreadableDataset for none, too many, an empty or too long one, or one name twice."""
    if not 1 <= len(names) <= MAX_CLASSES:
        raise UnreadableDataset(f"{place}: {len(names)} classes; a data set has from 1 to {MAX_CLASSES}")
    seen: set[str] = set()
    for name in names:
        if not 1 <= len(name) <= MAX_CLASS_NAME or not name.isprintable():
            raise UnreadableDataset(
                f"{place}: {name[:40]!r} is no name of a class: it has 1 to {MAX_CLASS_NAME} printable characters"
            )
        if name in seen:
            raise UnreadableDataset(f"{place}: two classes are named {name!r}; give every class a name of its own")
        seen.add(name)
    return tuple(names)


def in_rgb(pixels: Pixels) -> Pixels:
    """An image as (height, width, 3); a grey one, (height, width) or (…, 1), is repeated."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)
