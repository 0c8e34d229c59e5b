"""Files of the MNIST family (idx): MNIST, Fashion-MNIST, KMNIST, EMNIST and whatever is written like them.

The format is from http://yann.lecun.com/exdb/mnist (kept by the Internet Archive): two zero bytes, the type of the
elements (8: unsigned bytes), the number of dimensions, each dimension as a big-endian 32-bit number, the elements.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from models.datasets.base import (
    MAX_IMAGES,
    Dataset,
    Labels,
    Pixels,
    Sample,
    checked_classes,
    checked_labels,
    numbered_classes,
)
from models.errors import UnknownDataset, UnreadableDataset

FASHION_MNIST = "fashion-mnist"
FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip
FASHION_MNIST_FOLDER = "BENCH_FASHION_MNIST"
"""The environment variable with the folder of the four files, where it is not Debian's."""

MAX_SIDE = 4096
MAX_UNPACKED_BYTES = 256 * 2**20
"""Of a compressed file, which is unpacked in memory; others are mapped, whatever their size."""

_AT_ONCE = 64
"""How many images are hashed at once."""

_DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
_BEGINNINGS = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTES = 8


class IdxDataset(Dataset):
    """A file of images and the file of their labels, which are read at once."""

    def __init__(
        self, images: Path, labels: Path, name: str, split: str, classes: Sequence[str] | None = None, offset: int = 0
    ) -> None:
        """Raises UnreadableDataset. Without names, classes are called by their numbers; `offset` is that of the first.

        Letters of EMNIST, which are labeled 1 to 26, have an offset of 1.
        """
        self._pixels = read_idx(images, (3, 4))
        values = read_idx(labels, (1,)).astype(np.int64) - offset
        if len(values) != len(self._pixels):
            raise UnreadableDataset(
                f"{images} has {len(self._pixels)} images, {labels} has {len(values)} labels; they do not belong "
                "together"
            )
        self.name, self.split = name, split
        self.classes = checked_classes(classes or numbered_classes(values, str(labels)), str(labels))
        self._labels = checked_labels(values, len(self.classes), str(labels))

    @cached_property
    def labels(self) -> Labels:
        """One for each image."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of both files, as they are unpacked: the same data compressed otherwise are the same data."""
        content = hashlib.sha256(b"idx")
        content.update(repr(self._pixels.shape).encode())
        for first in range(0, len(self), _AT_ONCE):
            content.update(self._read(first, min(_AT_ONCE, len(self) - first)).data)
        content.update(repr(self._labels.shape).encode())
        content.update(np.ascontiguousarray(self._labels).data)
        return content.hexdigest()

    def sample(self, index: int) -> Sample:
        """Of the mode L where the file has no colors."""
        from PIL import Image

        return Sample(Image.fromarray(self._read(index, 1)[0]))

    def arrays(self) -> Pixels:
        """As they are in the file."""
        return self._pixels

    def _read(self, first: int, count: int) -> Pixels:
        """Images after one another: read where a mapped file would leave in memory all that was ever touched of it."""
        mapped, each = self._pixels, self._pixels.shape[1:]
        if not isinstance(mapped, np.memmap):
            return np.ascontiguousarray(mapped[first : first + count])
        size, header = int(np.prod(each)), 4 + 4 * mapped.ndim
        try:
            found = np.fromfile(str(mapped.filename), np.uint8, count * size, offset=header + first * size)
            return found.reshape(count, *each)
        except (OSError, ValueError) as exc:
            raise UnreadableDataset(f"{mapped.filename}: changed while it was read; fetch it again") from exc


def read_idx(path: Path, dimensions: Sequence[int]) -> Pixels:
    """An idx file of unsigned bytes, compressed or not, with one of these numbers of dimensions.

    Raises UnreadableDataset for what is none, and for one that is longer or shorter than it says.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        if compressed:
            with gzip.open(path) as unpacked:
                content = unpacked.read(MAX_UNPACKED_BYTES + 1)
            if len(content) > MAX_UNPACKED_BYTES:
                raise UnreadableDataset(
                    f"{path}: more than {MAX_UNPACKED_BYTES >> 20} MiB unpacked; gunzip it, it is then read "
                    "piece by piece"
                )
            whole: Pixels = np.frombuffer(content, np.uint8)
        else:
            whole = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    except OSError as exc:
        raise UnreadableDataset(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    except (EOFError, zlib.error) as exc:
        raise UnreadableDataset(f"{path}: damaged ({exc}); fetch it again") from exc
    return _elements(whole, dimensions, path)


def _elements(whole: Pixels, dimensions: Sequence[int], path: Path) -> Pixels:
    begin = whole[:4].tobytes()
    if len(begin) < 4 or begin[:2] != b"\0\0":
        raise UnreadableDataset(f"{path}: not an idx file (it begins with {begin.hex() or 'nothing'}, not with 0000)")
    kind, rank = begin[2], begin[3]
    if kind != _UNSIGNED_BYTES or rank not in dimensions:
        expected = " or ".join(str(number) for number in dimensions)
        raise UnreadableDataset(
            f"{path}: an idx file of type {kind:#04x} with {rank} dimensions; it must hold unsigned bytes (0x08) in "
            f"{expected} dimensions. Are images and labels mixed up?"
        )
    header = whole[4 : 4 + 4 * rank].tobytes()
    if len(header) < 4 * rank:
        raise UnreadableDataset(f"{path}: ends within its header; fetch it again")
    shape = struct.unpack(f">{rank}I", header)
    _check_shape(shape, path)
    elements, expected_bytes = whole[4 + 4 * rank :], int(np.prod(shape, dtype=object))
    if len(elements) != expected_bytes:
        raise UnreadableDataset(
            f"{path}: says that it holds {expected_bytes} bytes of shape {shape}, and has {len(elements)}; "
            "fetch it again"
        )
    return elements.reshape(shape)


def _check_shape(shape: tuple[int, ...], path: Path) -> None:
    count, sides, channels = shape[0], shape[1:3], shape[3:]
    if not 1 <= count <= MAX_IMAGES or any(not 1 <= side <= MAX_SIDE for side in sides) or channels not in ((), (3,)):
        raise UnreadableDataset(
            f"{path}: has the shape {shape}; expected 1 to {MAX_IMAGES} images of 1 to {MAX_SIDE} pixels a side, grey "
            "or with 3 channels"
        )


def fashion_mnist(split: str | None = None) -> IdxDataset:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747), 60,000 images to train and 10,000 to test with.

    Raises UnknownDataset that says how to get it.
    """
    folder = Path(os.environ.get(FASHION_MNIST_FOLDER) or _DEBIAN_FOLDER)
    try:
        return idx_folder(folder, FASHION_MNIST, split, FASHION_MNIST_CLASSES)
    except UnknownDataset as exc:
        raise UnknownDataset(
            f"{exc}. Fashion-MNIST is Debian's package dataset-fashion-mnist (apt install dataset-fashion-mnist); "
            f"where its four files lie elsewhere, set {FASHION_MNIST_FOLDER} to their folder"
        ) from exc


def idx_folder(
    folder: Path, name: str, split: str | None = None, classes: Sequence[str] | None = None, offset: int = 0
) -> IdxDataset:
    """The files of a split, `test` unless another is named, under the names that MNIST gave them, compressed or not.

    Raises UnknownDataset where they are missing, UnreadableDataset for what is wrong with them.
    """
    split = split or "test"
    beginning = _BEGINNINGS.get(split, split)
    for images in sorted(folder.glob("*")) if folder.is_dir() else ():
        if images.name.startswith(beginning) and is_idx_images(images):
            return IdxDataset(images, labels_beside(images), name, split, classes, offset)
    raise UnknownDataset(
        f"{name}: no file {beginning}-images-idx3-ubyte or {beginning}-images-idx3-ubyte.gz in {folder}"
    )


def is_idx_images(path: Path) -> bool:
    """Whether a file is called as one of images."""
    return "images" in path.name and "idx" in path.name


def labels_beside(images: Path) -> Path:
    """The file of labels that belongs to one of images, compressed or not. Raises UnknownDataset."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1").removesuffix(".gz")
    for found in (images.with_name(name), images.with_name(f"{name}.gz")):
        if found.is_file():
            return found
    raise UnknownDataset(f"{images}: no file {name} or {name}.gz with the labels beside it")
