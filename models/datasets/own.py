"""The user's own data set: an object that a function in a module of theirs returns."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from models.datasets.base import MAX_IMAGES, Dataset, Labels, Sample, checked_classes, checked_labels
from models.datasets.pictures import MAX_PIXELS
from models.errors import UnknownDataset, UnreadableDataset

_INTERFACE = "classes (names), len(), label(index) -> int and image(index) -> uint8 array (height, width, 3)"


class OwnDataset(Dataset):
    """What the object says, validated; one thread at a time asks it for an image.

    The object has `classes`, `__len__`, `label(index)` and `image(index)`, which returns an array of uint8, (height,
    width, 3) in RGB or (height, width) of a grey one. It may have `name`, `split`, and `identity`: a text that changes
    whenever its contents do, without which all images are read to find out.
    """

    def __init__(self, given: Any, expression: str) -> None:
        """Raises UnreadableDataset."""
        self._given, self._expression = given, expression
        self._alone = threading.Lock()
        lacks = [name for name in ("classes", "__len__", "label", "image") if not hasattr(given, name)]
        if lacks:
            raise UnreadableDataset(
                f"{expression}: returned {type(given).__name__} without {lacks[0]}; it has {_INTERFACE}"
            )
        self.name = str(getattr(given, "name", expression))[:200]
        self.split = str(getattr(given, "split", ""))[:64]
        self.classes = checked_classes(
            self._asked(lambda: [str(name) for name in given.classes], "classes"), expression
        )
        count = self._asked(lambda: len(given), "len()")
        if not 1 <= count <= MAX_IMAGES:
            raise UnreadableDataset(f"{expression}: {count} images; a data set has from 1 to {MAX_IMAGES}")
        labels = self._asked(lambda: [int(given.label(index)) for index in range(count)], "label()")
        self._labels = checked_labels(labels, len(self.classes), expression)

    @property
    def labels(self) -> Labels:
        """As the object says."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of what the object says it is, or of all images."""
        said = getattr(self._given, "identity", None)
        if isinstance(said, str):
            return hashlib.sha256(f"{self._expression}\0{said}".encode()).hexdigest()
        content = hashlib.sha256()
        for index in range(len(self)):
            pixels = self._pixels(index)
            content.update(repr(pixels.shape).encode() + pixels.tobytes())
        return content.hexdigest()

    def sample(self, index: int) -> Sample:
        """As the object returns it."""
        from PIL import Image

        return Sample(Image.fromarray(self._pixels(index)))

    def _pixels(self, index: int) -> Any:
        with self._alone:
            found = self._asked(lambda: np.asarray(self._given.image(index)), f"image({index})")
        if found.ndim == 3 and found.shape[2] == 1:
            found = found[:, :, 0]
        colors = found.shape[2:] in ((), (3,)) and found.ndim in (2, 3)
        if found.dtype != np.uint8 or not colors or not 1 <= found.shape[0] * found.shape[1] <= MAX_PIXELS:
            raise UnreadableDataset(
                f"{self._expression}: image({index}) is {found.dtype} of shape {found.shape}; it must be uint8, "
                "(height, width, 3) or (height, width)"
            )
        return np.ascontiguousarray(found)

    def _asked(self, ask: Callable[[], Any], what: str) -> Any:
        try:
            return ask()
        except Exception as exc:
            words = " ".join(str(exc).split())[:300]
            raise UnreadableDataset(f"{self._expression}: {what} failed ({type(exc).__name__}: {words})") from exc


def from_factory(expression: str) -> OwnDataset:
    """The data set that `package.module:factory` returns, looked for in the working folder as well.

    Raises UnknownDataset where there is no such function, UnreadableDataset for what is wrong with what it returns.
    """
    name, _, attribute = expression.partition(":")
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise UnknownDataset(f"{expression}: no module {exc.name}, neither installed nor in {here}") from exc
    except Exception as exc:
        raise UnreadableDataset(f"{expression}: {name} cannot be imported ({type(exc).__name__}: {exc})") from exc
    finally:
        sys.path.remove(here)
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise UnknownDataset(f"{expression}: {name} has no function {attribute}")
    try:
        given = factory()
    except Exception as exc:
        raise UnreadableDataset(f"{expression}: {attribute}() failed ({type(exc).__name__}: {exc})") from exc
    return OwnDataset(given, expression)
