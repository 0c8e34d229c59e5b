"""Static shapes for inputs with dynamic dimensions: what the user gave, one symbol one size, a batch of 1."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.errors import MissingShape

Dimension = int | str | None  # a size, a symbol, or nothing known


@dataclass(frozen=True)
class Declared:
    """An input as its file declares it; `dims` is None where not even the rank is known."""

    name: str
    dtype: str
    dims: tuple[Dimension, ...] | None

    def __str__(self) -> str:
        if self.dims is None:
            return f"{self.name}[unknown rank]"
        return f"{self.name}[{', '.join('?' if dim is None else str(dim) for dim in self.dims)}]"


@dataclass
class Resolved:
    """Static shapes by input, the size of every symbol, and the decisions taken without the user."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def resolve(file: str, inputs: Sequence[Declared], given: Mapping[str, tuple[int, ...]]) -> Resolved:
    """Find a static shape for every input. Raises MissingShape with the exact option to type."""
    result = Resolved()
    for declared in inputs:
        if declared.name in given:
            _take(file, declared, given[declared.name], result)
    remaining = [declared for declared in inputs if declared.name not in given]
    for declared in remaining:
        _take_batch(declared, result)
    missing = []
    for declared in remaining:
        dims = _filled(declared, result.symbols)
        if dims is not None and all(isinstance(dim, int) for dim in dims):
            result.shapes[declared.name] = tuple(dim for dim in dims if isinstance(dim, int))
        elif declared.name not in result.shapes:
            missing.append(declared)
    if missing:
        shown = "; ".join(str(declared) for declared in missing)
        flags = " ".join(f"--input-shape {_example(declared, result.symbols)}" for declared in missing)
        raise MissingShape(f"{file}: dynamic dimensions without a size: {shown}; add, with the sizes you want, {flags}")
    return result


def _take(file: str, declared: Declared, shape: tuple[int, ...], result: Resolved) -> None:
    option = f"{declared.name}={','.join(map(str, shape))}"
    dims = declared.dims if declared.dims is not None else (None,) * len(shape)
    if len(dims) != len(shape):
        raise MissingShape(
            f"{file}: the shape {option} has {len(shape)} dimensions, the model declares {declared}; give {len(dims)}"
        )
    for dim, size in zip(dims, shape, strict=True):
        if isinstance(dim, int) and dim != size:
            raise MissingShape(f"{file}: the shape {option} contradicts the model, which fixes {declared}")
        if isinstance(dim, str) and result.symbols.setdefault(dim, size) != size:
            raise MissingShape(
                f"{file}: the shape {option} makes {dim!r} {size}, but another input makes it {result.symbols[dim]}; "
                f"give one size for {dim!r}"
            )
    result.shapes[declared.name] = shape


def _take_batch(declared: Declared, result: Resolved) -> None:
    """A dynamic first dimension alone is a batch: 1, as everything is measured with a batch of 1."""
    dims = _filled(declared, result.symbols)
    if not dims or isinstance(dims[0], int) or not all(isinstance(dim, int) for dim in dims[1:]):
        return
    if isinstance(dims[0], str):
        result.symbols[dims[0]] = 1
    result.shapes[declared.name] = (1, *(dim for dim in dims[1:] if isinstance(dim, int)))
    result.notes.append(f"{declared}: the dynamic first dimension was taken as 1")


def _filled(declared: Declared, symbols: Mapping[str, int]) -> tuple[Dimension, ...] | None:
    if declared.dims is None:
        return None
    return tuple(symbols.get(dim, dim) if isinstance(dim, str) else dim for dim in declared.dims)


def _example(declared: Declared, symbols: Mapping[str, int]) -> str:
    """The option's value with plausible sizes: 1 for a batch, 224 for the sides of an image, else 128."""
    name = shlex.quote(declared.name)
    dims = _filled(declared, symbols)
    if dims is None:
        return f"{name}=SIZE,SIZE,…"
    side = 224 if len(dims) == 4 and declared.dtype.startswith("float") else 128
    sizes = []
    for place, dim in enumerate(dims):
        is_channel = side == 224 and place == 1
        sizes.append(dim if isinstance(dim, int) else 1 if place == 0 else 3 if is_channel else side)
    return f"{name}={','.join(map(str, sizes))}"
