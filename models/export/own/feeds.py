"""What the inputs of the user's own models are fed: what was given, or what is safe without knowing the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableModel, WrongInput
from models.export.own import arrays, images
from models.export.own.shapes import Declared, Dimension, Shape
from models.export.recipe import INPUT_SEED
from models.given import IMAGES, Given, InputGiven, Number, is_position
from models.inputs import natural_image

MOST_ELEMENTS = 2**31
_NOTHING = InputGiven()


@dataclass(frozen=True)
class Fed:
    """The array of one input, in words where it comes from, and whether nobody asked for it."""

    array: NDArray[Any]
    values: str
    is_made_up: bool = False

    @property
    def as_zeros(self) -> Fed:
        """With zeros where it was made up of ones."""
        if not (self.is_made_up and self.values == _ONES):
            return self
        return replace(self, array=np.zeros_like(self.array), values=_ZEROS)


_ONES, _ZEROS = "made up: ones", "made up: zeros, as the model does not run with ones"


@dataclass(frozen=True)
class Source:
    """Where the values of one input come from: what was said of it, and the array that was read for it, if any.

    `file` is where that was read, `origin` says it in full.
    """

    wish: InputGiven
    array: NDArray[Any] | None = None
    file: Path = Path()
    origin: str = ""

    def shape(self, declared: Declared) -> Shape | None:
        """The shape that was said or, where the file leaves it open, the one that the values have; else None.

        Raises WrongInput where the values cannot be its.
        """
        if self.wish.shape is not None or not declared.is_dynamic:
            return self.wish.shape
        dims: tuple[Dimension, ...] | None = None
        if self.wish.value is not None and len(self.wish.value) > 1:
            dims = _of_list(declared.dims, len(self.wish.value))
        elif self.array is not None and (self.array.ndim or declared.dims is None):
            dims = self.array.shape
            if not declared.takes(self.array.shape):
                words = f"{self.array.dtype}{list(self.array.shape)}, the input is {declared}"
                raise WrongInput(f"{self.origin} is {words}; save it in that shape")
        elif self.wish.file is not None and self.array is None and declared.dims is not None:
            dims = images.natural_shape(Path(self.wish.file), declared.dims)
        sizes = tuple(dim for dim in dims or () if isinstance(dim, int))
        return sizes if dims is not None and len(sizes) == len(dims) else None

    def feed(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> Fed:
        """What is fed. Raises WrongInput, and UnreadableModel for what is too large."""
        if int(np.prod(shape, dtype=object)) > MOST_ELEMENTS:
            raise UnreadableModel(f"input {name}: the shape {list(shape)} is too large; give a smaller one")
        if self.array is not None:
            array, lost = arrays.cast(self.array, dtype, self.origin)
            words = f"given: {self.file.name}{f' ({lost})' if lost else ''}"
            return Fed(arrays.fit(array, shape, self.origin), words)
        if self.wish.file is not None:
            file = Path(self.wish.file)
            array, changed = images.read(file, shape, dtype, self.wish)
            return Fed(array, f"given: {file.name}{f' ({changed})' if changed else ''}")
        if self.wish.value is not None:
            what = f"the value of input {name}"
            array, _ = arrays.cast(_numbers(self.wish.value), dtype, what)
            return Fed(arrays.fit(array, shape, what, in_order=True), f"given: {_listed(self.wish.value)}")
        if self.wish.range is not None:
            return _within(self.wish.range, shape, dtype, name)
        return made_up(shape, dtype)


def sources(file: Path, declared: Sequence[Declared], given: Given, feed: Path | None, only_file: bool) -> list[Source]:
    """Where the values of each input come from. Raises WrongInput and UnreadableModel.

    `only_file`: the feed belongs to this file alone, so an array that no input takes is a mistake.
    """
    wishes = [_NOTHING for _ in declared]
    for name, entry in given.inputs.items():
        position = _position(file, declared, name)
        if position is not None:
            wishes[position] = entry.over(wishes[position])
    fed = arrays.read_npz(feed) if feed else {}
    names = [spec.name for spec in declared]
    strangers = [name for name in fed if name not in names]
    if strangers and (only_file or len(strangers) == len(fed)):
        raise UnreadableModel(
            f"{feed}: array {strangers[0]!r} is no input of the model; its inputs are {', '.join(names)}"
        )
    found = []
    for spec, wish in zip(declared, wishes, strict=True):
        if wish.file is not None and not wish.file.lower().endswith(IMAGES):
            file = Path(wish.file)
            found.append(Source(wish, arrays.read_one(file, spec.name), file, f"{file}: the array"))
        elif feed and (wish.file, wish.value, wish.range) == (None, None, None) and spec.name in fed:
            found.append(Source(wish, fed[spec.name], feed, f"{feed}: array {spec.name!r}"))
        else:
            found.append(Source(wish))
    return found


def _position(file: Path, declared: Sequence[Declared], name: str) -> int | None:
    """Which input is meant; None where the model has none of that name. Raises WrongInput where it has several."""
    positions = [position for position, spec in enumerate(declared) if spec.name == name]
    if len(positions) > 1:
        places = " and ".join(map(str, positions))
        raise WrongInput(f"{file}: several inputs are called {name!r}; give them by position: {places}")
    if positions:
        return positions[0]
    return int(name) if is_position(name) and int(name) < len(declared) else None


def made_up(shape: Shape, dtype: np.dtype[Any]) -> Fed:
    """A picture where the shape is an image's; else normal noise; ones for integers (safe for ids and masks)."""
    image = _image(shape) if dtype.kind == "f" or dtype in (np.uint8, np.int8, np.int16) else None
    if 0 in shape:
        return Fed(np.zeros(shape, dtype), "empty")
    if image is not None:
        if dtype.kind != "f":
            # Three deviations fill the range.
            middle, limits = 128.0 if dtype == np.uint8 else 0.0, np.iinfo(dtype)
            image = np.clip(np.round(image * 42.0 * 256 ** (dtype.itemsize - 1) + middle), limits.min, limits.max)
        return Fed(image.astype(dtype), "made up: picture-like noise", True)
    if dtype.kind == "f":
        noise = np.asarray(np.random.default_rng(INPUT_SEED).standard_normal(shape))
        return Fed(noise.astype(dtype), "made up: normal noise", True)
    return Fed(np.ones(shape, dtype=dtype), "made up: true" if dtype == np.bool_ else _ONES, True)


def _within(ends: tuple[Number, Number], shape: Shape, dtype: np.dtype[Any], name: str) -> Fed:
    """Seeded values between two ends, both included. Raises WrongInput where the type cannot hold them."""
    what = f"the range of input {name}"
    (low, high), _ = arrays.cast(_numbers(ends), dtype, what)
    rng, words = np.random.default_rng(INPUT_SEED), f"{ends[0]}..{ends[1]}"
    if dtype.kind == "f":
        drawn = rng.random(shape) * (float(ends[1]) - float(ends[0])) + float(ends[0])
        return Fed(np.clip(np.asarray(drawn).astype(dtype), low, high), f"made up: floats {words}")
    if dtype == np.bool_:
        return Fed(np.asarray(rng.integers(int(low), int(high), shape, endpoint=True)) != 0, f"made up: {words}")
    integers = np.asarray(rng.integers(low, high, shape, dtype=dtype, endpoint=True))
    return Fed(integers, f"made up: integers {words}")


def _numbers(said: Sequence[Number]) -> NDArray[Any]:
    """As NumPy types them; integers beyond those of 64 bits with a sign without one."""
    if all(isinstance(number, int) and not isinstance(number, bool) for number in said) and max(said) >= 2**63:
        if min(said) < 0:
            raise WrongInput(f"no type holds both {min(said)} and {max(said)}")
        return np.array(said, np.uint64)
    return np.array(said)


def _of_list(dims: tuple[Dimension, ...] | None, count: int) -> tuple[Dimension, ...] | None:
    """The dimensions with the one that is open, besides a batch, as `count` numbers fill them."""
    if dims is None:
        return (count,)
    places = [place for place, dim in enumerate(dims) if not isinstance(dim, int)]
    known = int(np.prod([dim for dim in dims if isinstance(dim, int)], dtype=object))
    if not places or len(places) > 2 or (len(places) == 2 and places[0] != 0) or not known or count % known:
        return None
    return tuple(
        dim if isinstance(dim, int) else count // known if place == places[-1] else 1 for place, dim in enumerate(dims)
    )


def _listed(said: Sequence[Number]) -> str:
    shown = [str(number).lower() if isinstance(number, bool) else str(number) for number in said]
    return ", ".join(shown if len(shown) <= 4 else [*shown[:3], "…"])


def _image(shape: Shape) -> NDArray[np.floating[Any]] | None:
    if len(shape) != 4 or min(shape) < 1:
        return None
    if shape[1] in (1, 3):
        return natural_image(shape, INPUT_SEED)
    if shape[3] in (1, 3):
        batch, height, width, channels = shape
        image = natural_image((batch, channels, height, width), INPUT_SEED)
        return np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    return None
