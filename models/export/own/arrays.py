"""Arrays that the user gave, read from files and brought into an input's type and shape without losing anything."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableModel, WrongInput

_UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, AttributeError, MemoryError)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file. Raises UnreadableModel."""
    found = _load(path)
    if not isinstance(found, dict):
        raise UnreadableModel(f"{path}: not an .npz file; write it with numpy.savez, arrays named as the inputs")
    return found


def read_one(path: Path, name: str) -> NDArray[Any]:
    """The array of a file for the input `name`. Raises UnreadableModel and, where it is not clear which, WrongInput."""
    found = _load(path)
    if not isinstance(found, dict):
        return found
    if name in found:
        return found[name]
    if len(found) != 1:
        raise WrongInput(
            f"{path}: holds {', '.join(map(repr, found)) or 'nothing'}; call the array for this input {name!r}"
        )
    return next(iter(found.values()))


def _load(path: Path) -> NDArray[Any] | dict[str, NDArray[Any]]:
    kind = ".npz" if path.suffix.lower() == ".npz" else ".npy"
    try:
        # np.load leaves a path it cannot read open
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                return {name: loaded[name] for name in loaded.files}
            array: NDArray[Any] = np.asarray(loaded)
            return array
    except _UNREADABLE as exc:
        saved = "savez" if kind == ".npz" else "save"
        raise UnreadableModel(
            f"{path}: not a readable {kind} file of plain arrays ({exc}); write it with numpy.{saved}"
        ) from exc


def cast(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> tuple[NDArray[Any], str]:
    """The array in another type, and in words what it lost: nothing, or digits of floats. Raises WrongInput.

    Integers and truth values must fit, and floats for integers be whole; floats are rounded to the nearest.
    """
    if array.dtype == dtype:
        return array, ""
    refused = f"{what} holds {array.dtype}, the input takes {dtype}"
    if array.dtype.kind not in "biuf":
        raise WrongInput(f"{refused}; give numbers")
    with np.errstate(all="ignore"):
        became = array.astype(dtype)
        if array.dtype.kind == dtype.kind == "f":
            if np.array_equal(np.isfinite(array), np.isfinite(became)):
                same = np.array_equal(became.astype(array.dtype), array, equal_nan=True)
                return became, "" if same else f"{array.dtype}, rounded to {dtype}"
        # Back again, too: comparing alone is done in floats, which do not hold every integer.
        elif np.array_equal(became.astype(array.dtype), array) and np.array_equal(became, array):
            return became, ""
    raise WrongInput(f"{refused}, and {_example(array, became)} cannot be one; save it in that type")


def _example(array: NDArray[Any], became: NDArray[Any]) -> str:
    """The first number that cannot be the same in another type."""
    with np.errstate(all="ignore"):
        differs = (became.astype(array.dtype) != array) | (became != array)
    return str(array[differs].flat[0]) if differs.any() else "some of it"


def fit(array: NDArray[Any], shape: tuple[int, ...], what: str, *, in_order: bool = False) -> NDArray[Any]:
    """The array in the input's shape: one number for every element, or all of them. Raises WrongInput.

    `in_order`: it is a list of numbers, whose own shape says nothing.
    """
    if array.size == 1 and array.ndim <= 1 and shape != array.shape:
        return np.full(shape, array.reshape(())[()])
    if array.shape == shape or (in_order and array.size == int(np.prod(shape, dtype=object))):
        return np.asarray(array.reshape(shape), order="C")
    given = f"{array.size} numbers" if in_order else f"{array.dtype}{list(array.shape)}"
    raise WrongInput(f"{what} is {given}, the input takes {list(shape)}; save it in that shape")
