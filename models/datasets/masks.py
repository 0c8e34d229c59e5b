"""A folder of pictures and a folder of masks: `images/a.jpg` belongs to `masks/a.png`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from models.datasets.base import Sample, SegmentationDataset, checked_classes
from models.datasets.folder import class_names, pictures_below
from models.datasets.hashes import identity_of
from models.datasets.pictures import decoded, decoded_mask
from models.errors import UnreadableDataset
from models.preprocessing import IGNORED

IMAGES, MASKS = "images", "masks"


class MaskFolder(SegmentationDataset):
    """Pairs of files with one stem."""

    def __init__(self, root: Path, name: str, split: str, classes: Sequence[str] | None = None) -> None:
        """Without names of classes, all masks are read for the highest number. Raises UnreadableDataset."""
        self.name, self.split, self._root = name, split, root
        images, masks = (
            {
                Path(file).relative_to(part).with_suffix("").as_posix(): file
                for file in pictures_below(root / part, root)
            }
            for part in (IMAGES, MASKS)
        )
        alone = sorted(images.keys() ^ masks.keys())
        if alone or not images:
            what = f"{alone[0]} has no {MASKS if alone[0] in images else IMAGES}" if alone else "there are no pictures"
            raise UnreadableDataset(
                f"{root}: {what} ({len(images)} in {IMAGES}, {len(masks)} in {MASKS}); a picture {IMAGES}/a.jpg "
                f"has a mask {MASKS}/a.png"
            )
        self._pairs = [(images[stem], masks[stem]) for stem in sorted(images)]
        listed = classes or [*class_names(root).values()] or [str(number) for number in range(self._highest() + 1)]
        self.classes = checked_classes(listed, str(root))

    def __len__(self) -> int:
        return len(self._pairs)

    @cached_property
    def identity(self) -> str:
        """Of all pictures, masks and their paths."""
        return identity_of((file, self._root / file) for pair in self._pairs for file in pair)

    def sample(self, index: int) -> Sample:
        """Decoded both, and checked against one another."""
        image, mask = (self._root / file for file in self._pairs[index])
        return self.checked(decoded(image, str(image)), decoded_mask(mask, str(mask)), str(mask))

    def _highest(self) -> int:
        highest = 0
        for _, file in self._pairs:
            path = self._root / file
            numbers = np.bincount(np.asarray(decoded_mask(path, str(path))).ravel(), minlength=256)[:IGNORED]
            highest = max(highest, int(numbers.nonzero()[0].max(initial=0)))
        return highest
