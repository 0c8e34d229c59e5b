"""Which data set an expression means."""

from __future__ import annotations

from pathlib import Path

from models.datasets.base import Dataset
from models.datasets.idx import FASHION_MNIST, IdxDataset, fashion_mnist, idx_folder, is_idx_images, labels_beside
from models.errors import UnknownDataset

_EXPECTED = f"a data set is {FASHION_MNIST}, {FASHION_MNIST}:train, or a path"


def open_dataset(expression: str) -> Dataset:
    """The data set of a name or a path, with `:SPLIT` behind it where there are several.

    Raises UnknownDataset where there is none, UnreadableDataset for what is wrong with it.
    """
    place, _, split = expression.partition(":")
    if place == FASHION_MNIST:
        return fashion_mnist(split or None)
    path = Path(place).expanduser()
    if path.is_dir():
        return idx_folder(path, path.absolute().name, split or None)
    if path.is_file() and is_idx_images(path):
        return IdxDataset(path, labels_beside(path), path.name.partition("-images")[0], split or "test")
    raise UnknownDataset(f"{expression!r}: no such data set; {_EXPECTED}")
