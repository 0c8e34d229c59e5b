"""Values for the inputs of the user's own models: the feed's arrays, or what is safe without knowing the model."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableModel
from models.export.recipe import INPUT_SEED
from models.inputs import natural_image
from results.records import TensorSpec

_MAX_ELEMENTS = 2**31


def values(
    inputs: Sequence[TensorSpec], feed: Path | None, only_file: bool
) -> tuple[list[NDArray[Any]], list[TensorSpec]]:
    """One array per input, and the inputs whose array is made up. Raises UnreadableModel when the feed does not fit.

    `only_file`: the feed belongs to this file alone, so an array that no input takes is a mistake.
    """
    given = _read(feed) if feed else {}
    names = [spec.name for spec in inputs]
    strangers = [name for name in given if name not in names]
    if strangers and (only_file or len(strangers) == len(given)):
        raise UnreadableModel(
            f"{feed}: array {strangers[0]!r} is no input of the model; its inputs are {', '.join(names)}"
        )
    arrays = [_fitting(given[spec.name], spec, feed) if spec.name in given else made_up(spec) for spec in inputs]
    return arrays, [spec for spec in inputs if spec.name not in given]


def made_up(spec: TensorSpec) -> NDArray[Any]:
    """A picture where the shape is an image's; else normal noise; ones for integers (safe for ids and masks)."""
    if int(np.prod(spec.shape, dtype=object)) > _MAX_ELEMENTS:
        raise UnreadableModel(f"input {spec.name}: the shape {list(spec.shape)} is too large; give a smaller one")
    dtype = np.dtype(spec.dtype)
    image = _image(spec.shape) if dtype.kind == "f" or dtype in (np.uint8, np.int8) else None
    if image is not None:
        if dtype.kind == "f":
            return image.astype(dtype)
        # Three deviations fill the range of a byte.
        middle, limits = (128.0, (0, 255)) if dtype == np.uint8 else (0.0, (-128, 127))
        return np.clip(np.round(image * 42.0 + middle), *limits).astype(dtype)
    if dtype.kind == "f":
        return np.asarray(np.random.default_rng(INPUT_SEED).standard_normal(spec.shape)).astype(dtype)
    return np.ones(spec.shape, dtype=dtype)


def _image(shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    if len(shape) != 4 or min(shape) < 1:
        return None
    if shape[1] in (1, 3):
        return natural_image(shape, INPUT_SEED)
    if shape[3] in (1, 3):
        batch, height, width, channels = shape
        image = natural_image((batch, channels, height, width), INPUT_SEED)
        return np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    return None


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # np.load leaves a path it cannot read open
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UnreadableModel(
                    f"{path}: not an .npz file; write it with numpy.savez, arrays named as the inputs"
                )
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, AttributeError) as exc:
        raise UnreadableModel(
            f"{path}: not a readable .npz file of plain arrays ({exc}); write it with numpy.savez"
        ) from exc


def _fitting(array: NDArray[Any], spec: TensorSpec, feed: Path | None) -> NDArray[Any]:
    if array.dtype.name != spec.dtype or array.shape != spec.shape:
        raise UnreadableModel(
            f"{feed}: array {spec.name!r} is {array.dtype.name}{list(array.shape)}, "
            f"the input takes {spec.dtype}{list(spec.shape)}; save it in that type and shape"
        )
    return np.ascontiguousarray(array) if array.ndim else array
