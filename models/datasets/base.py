"""The seam to a data set: images with labels, or with masks, whatever files it lies in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableDataset
from models.preprocessing import IGNORED

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int32]

MAX_IMAGES = 20_000_000
MAX_CLASSES = 100_000
MAX_CLASS_NAME = 200
_MOST_NAMED = 5  # classes without images, in a note


class Sample(NamedTuple):
    """A picture of the mode RGB or L and, of a data set for segmentation, its mask of classes (mode L)."""

    picture: Image.Image
    mask: Image.Image | None = None


Load = Callable[[], Sample]


class Images(ABC):
    """Images in a fixed order, and what they show.

    `name` and `split` say which data these are; `classes` are the names of the classes in the order of their indices,
    which is that of the outputs of a network that was trained on them.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    reads_in_order = False
    """Whether an image in the middle costs as much as all before it, so that many are best read at once."""

    @property
    @abstractmethod
    def labels(self) -> Labels:
        """The class of every image, (images,); zeros where an image has no class as a whole."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """One image as it is shown; from any thread. Raises UnreadableDataset that names its file."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells its contents from any other: a SHA-256, the same wherever the files lie."""

    def __len__(self) -> int:
        return len(self.labels)

    def samples(self, indices: Iterable[int]) -> Iterator[tuple[int, Load]]:
        """These images in the order that is cheapest to read, each with what loads it, in any thread."""
        for index in indices:
            yield index, partial(self.sample, index)

    def image(self, index: int) -> Pixels:
        """One image as it is shown, (height, width, 3) in RGB. Raises UnreadableDataset that names its file."""
        return np.asarray(self.sample(index).picture.convert("RGB"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about it, in words."""
        return ()


class Dataset(Images):
    """Images, each with the index of its class."""

    def label(self, index: int) -> int:
        """The class of one image."""
        return int(self.labels[index])

    def arrays(self) -> Pixels | None:
        """All images at once, (images, height, width) of grey ones or (…, 3), where they are one array anyway."""
        return None

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Classes without an image."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        empty = [self.classes[index] for index in np.flatnonzero(counts == 0)]
        if not empty:
            return ()
        more = f" and {len(empty) - _MOST_NAMED} more" if len(empty) > _MOST_NAMED else ""
        which = ", ".join(empty[:_MOST_NAMED]) + more
        return (f"{len(empty)} of {len(self.classes)} classes have no image: {which}",)


class SegmentationDataset(Images):
    """Images, each with a mask that has the class of every pixel, and 255 where a pixel does not count."""

    @property
    def labels(self) -> Labels:
        """An image as a whole has none."""
        return np.zeros(len(self), np.int32)

    @abstractmethod
    def __len__(self) -> int: ...

    def checked(self, picture: Image.Image, mask: Image.Image, place: str) -> Sample:
        """Both together. Raises UnreadableDataset where sizes differ, or a pixel's number is no class and not 255."""
        if picture.size != mask.size:
            raise UnreadableDataset(
                f"{place}: the picture has {picture.size} pixels, its mask {mask.size}; they must agree"
            )
        numbers = np.bincount(np.asarray(mask).ravel(), minlength=256)[:IGNORED]
        highest = int(numbers.nonzero()[0].max(initial=0))
        if highest >= len(self.classes):
            raise UnreadableDataset(
                f"{place}: the mask has the class {highest}, and there are {len(self.classes)}, 0 to "
                f"{len(self.classes) - 1}; name all classes, or give pixels that do not count the number {IGNORED}"
            )
        return Sample(picture, mask)


def checked_labels(values: Any, classes: int, place: str) -> Labels:
    """Labels as (images,) of int32. Raises UnreadableDataset for none, too many, or one that is no class."""
    labels = np.asarray(values, None if len(values) else np.int32)
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


def numbered_classes(labels: NDArray[Any], place: str) -> tuple[str, ...]:
    """Classes that nobody named are called by their numbers, up to the highest label. Raises UnreadableDataset."""
    highest = int(labels.max(initial=0))
    if highest >= MAX_CLASSES:
        raise UnreadableDataset(f"{place}: has the label {highest}; a label is below {MAX_CLASSES}")
    return tuple(str(number) for number in range(highest + 1))
