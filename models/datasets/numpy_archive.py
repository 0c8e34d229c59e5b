"""Archives of NumPy arrays (.npz): images, labels and perhaps the names of the classes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets.base import (
    Dataset,
    Labels,
    Pixels,
    Sample,
    checked_classes,
    checked_labels,
    numbered_classes,
)
from models.datasets.hashes import identity_of
from models.errors import UnreadableDataset

IMAGES, LABELS = ("x", "images", "data"), ("y", "labels", "targets")
MAX_UNPACKED_BYTES = 256 * 2**20
"""Of a compressed array, which is unpacked in memory; others are mapped, whatever their size."""
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip file: the lengths of a name and of what follows it


class NumpyDataset(Dataset):
    """The arrays `x` and `y`, or those of a split, like `x_train` and `y_train`."""

    def __init__(
        self,
        path: Path,
        name: str,
        split: str,
        classes: Sequence[str] | None = None,
        offset: int = 0,
        arrays: Mapping[str, str] | None = None,
    ) -> None:
        """Raises UnreadableDataset. `arrays` says what the arrays of the `image` and the `label` are called."""
        self._path, self.name, self.split = path, name, split
        try:
            with zipfile.ZipFile(path) as archive:
                self._pixels = _as_images(_array(path, archive, _chosen(path, archive, "image", split, arrays)), path)
                values = _array(path, archive, _chosen(path, archive, "label", split, arrays))
                if classes is None and "classes.npy" in archive.namelist():
                    classes = [str(entry) for entry in _array(path, archive, "classes").ravel()]
        except OSError as exc:
            raise UnreadableDataset(f"{path}: cannot be read ({exc.strerror or exc})") from exc
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, struct.error, NotImplementedError) as exc:
            raise UnreadableDataset(f"{path}: no archive of plain arrays ({exc}); write it with numpy.savez") from exc
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        if values.dtype.kind not in "iu" or len(values.shape) != 1 or len(values) != len(self._pixels):
            raise UnreadableDataset(
                f"{path}: images of shape {self._pixels.shape} and labels {values.dtype} of shape {values.shape}; "
                "there must be one integer an image"
            )
        values = values.astype(np.int64) - offset
        self.classes = checked_classes(classes or numbered_classes(values, str(path)), str(path))
        self._labels = checked_labels(values, len(self.classes), str(path))

    @property
    def labels(self) -> Labels:
        """One for each image."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of the archive as a whole."""
        return identity_of([("archive", self._path)])

    def sample(self, index: int) -> Sample:
        """As it is in the array."""
        from PIL import Image

        return Sample(Image.fromarray(np.ascontiguousarray(self._pixels[index])))

    def arrays(self) -> Pixels:
        """As they are in the archive, channels last."""
        return self._pixels


def _chosen(path: Path, archive: zipfile.ZipFile, what: str, split: str, arrays: Mapping[str, str] | None) -> str:
    known = [name.removesuffix(".npy") for name in archive.namelist()]
    names = IMAGES if what == "image" else LABELS
    wanted = [arrays[what]] if arrays and what in arrays else [*(f"{name}_{split}" for name in names), *names]
    found = next((name for name in wanted if name in known), None)
    if found is None:
        raise UnreadableDataset(
            f"{path}: no array {' or '.join(wanted)}, only {', '.join(known[:10]) or 'nothing'}; rename one, choose "
            f"the split ({path}:train), or say `{what}` in a TOML"
        )
    return found


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Raises ValueError for what is no plain array, as NumPy does."""
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(info.header_offset)
            file.seek(sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))), 1)
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            if dtype.hasobject:
                raise ValueError(f"{name} holds Python objects")
            if not all(shape):
                raise ValueError(f"{name} is empty")
            return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")
    if info.file_size > MAX_UNPACKED_BYTES:
        raise UnreadableDataset(
            f"{path}: {name} has more than {MAX_UNPACKED_BYTES >> 20} MiB unpacked; save it with numpy.savez, not "
            "savez_compressed, it is then read piece by piece"
        )
    with archive.open(info) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        return array


def _as_images(array: NDArray[Any], path: Path) -> Pixels:
    """As (n, height, width) or (n, height, width, 3)."""
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)) or not array.size:
        raise UnreadableDataset(
            f"{path}: the images are {array.dtype} of shape {array.shape}; they must be uint8, (n, height, width) or "
            "with 1 or 3 channels"
        )
    return array
