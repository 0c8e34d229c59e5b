"""Static shapes for inputs with dynamic dimensions: what the user gave, one symbol one size, a batch of 1."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.errors import MissingShape

Dimension = int | str | None  # a size, a symbol, or nothing known
Shape = tuple[int, ...]

# What exporters write for a dimension of which they know nothing: two of them need not be equal.
_UNKNOWN = ("", "?", "-1", "*", "None", "unknown")


@dataclass(frozen=True)
class Declared:
    """An input as its file declares it; `dims` is None where not even the rank is known.

    `scale` and `zero_point` are those of a quantized one.
    """

    name: str
    dtype: str
    dims: tuple[Dimension, ...] | None
    scale: float | None = None
    zero_point: int = 0

    def __str__(self) -> str:
        if self.dims is None:
            return f"{self.name}[unknown rank]"
        return f"{self.name}[{', '.join('?' if dim is None else str(dim) for dim in self.dims)}]"

    @property
    def is_dynamic(self) -> bool:
        """Whether it leaves sizes open."""
        return self.dims is None or not all(isinstance(dim, int) for dim in self.dims)

    def takes(self, shape: Shape) -> bool:
        """Whether an array of this shape can be fed."""
        fixed = zip(self.dims or (), shape, strict=False)
        return self.dims is None or (
            len(self.dims) == len(shape) and all(not isinstance(dim, int) or dim == size for dim, size in fixed)
        )


@dataclass
class Resolved:
    """Static shapes in the order of the inputs, the size of every symbol that has one, and what nobody decided.

    `contradictions` say which symbols have several sizes, `made_up` holds the positions of the inputs whose sizes were
    decided for the user.
    """

    shapes: list[Shape]
    symbols: dict[str, int]
    contradictions: list[str]
    made_up: set[int]


def symbol(text: str) -> Dimension:
    """A dimension's name, or None where it says only that nothing is known."""
    return None if text.strip() in _UNKNOWN else text


def resolve(file: str, inputs: Sequence[Declared], given: Mapping[int, Shape]) -> Resolved:
    """Find a static shape for every input; `given` has those that are, by position.

    Raises MissingShape with the exact option to type.
    """
    return _Resolution(file, inputs).resolve(given)


@dataclass
class _Resolution:
    file: str
    inputs: Sequence[Declared]
    shapes: dict[int, Shape] = field(default_factory=dict)
    sizes: dict[str, dict[int, list[str]]] = field(default_factory=dict)  # symbol -> size -> inputs that have it
    taken: set[str] = field(default_factory=set)  # symbols that are 1 because nobody said what they are
    made_up: set[int] = field(default_factory=set)

    def resolve(self, given: Mapping[int, Shape]) -> Resolved:
        for position, shape in given.items():
            self._take(position, shape)
        remaining = [position for position in range(len(self.inputs)) if position not in given]
        for position in remaining:
            self._take_batch(position)
        missing = []
        for position in remaining:
            dims = self._filled(position)
            if dims is not None and all(isinstance(dim, int) for dim in dims):
                self.shapes[position] = tuple(dim for dim in dims if isinstance(dim, int))
                if self.taken.intersection(self.inputs[position].dims or ()):
                    self.made_up.add(position)
            elif position not in self.shapes:
                missing.append(position)
        if missing:
            shown = "; ".join(str(self.inputs[position]) for position in missing)
            flags = " ".join(f"--input-shape {self._example(position)}" for position in missing)
            raise MissingShape(
                f"{self.file}: dynamic dimensions without a size: {shown}; add, with the sizes you want, {flags}"
            )
        return Resolved(
            [self.shapes[position] for position in range(len(self.inputs))],
            self._symbols(),
            [_contradiction(name, sizes) for name, sizes in self.sizes.items() if len(sizes) > 1],
            self.made_up,
        )

    def _symbols(self) -> dict[str, int]:
        return {name: next(iter(sizes)) for name, sizes in self.sizes.items() if len(sizes) == 1}

    def _take(self, position: int, shape: Shape) -> None:
        declared = self.inputs[position]
        option = f"{declared.name}={','.join(map(str, shape))}"
        dims = declared.dims if declared.dims is not None else (None,) * len(shape)
        if len(dims) != len(shape):
            raise MissingShape(
                f"{self.file}: the shape {option} has {len(shape)} dimensions, the model declares {declared}; "
                f"give {len(dims)}"
            )
        for dim, size in zip(dims, shape, strict=True):
            if isinstance(dim, int) and dim != size:
                raise MissingShape(f"{self.file}: the shape {option} contradicts the model, which fixes {declared}")
            if isinstance(dim, str):
                users = self.sizes.setdefault(dim, {}).setdefault(size, [])
                users += [] if declared.name in users else [declared.name]
        self.shapes[position] = shape

    def _take_batch(self, position: int) -> None:
        """A dynamic first dimension alone is a batch: 1, as everything is measured with a batch of 1."""
        declared, dims = self.inputs[position], self._filled(position)
        if not dims or isinstance(dims[0], int) or not all(isinstance(dim, int) for dim in dims[1:]):
            return
        if isinstance(dims[0], str) and dims[0] not in self.sizes:
            self.sizes[dims[0]] = {1: [declared.name]}
            self.taken.add(dims[0])
        self.shapes[position] = (1, *(dim for dim in dims[1:] if isinstance(dim, int)))
        self.made_up.add(position)

    def _filled(self, position: int) -> tuple[Dimension, ...] | None:
        declared, symbols = self.inputs[position], self._symbols()
        if declared.dims is None:
            return None
        return tuple(symbols.get(dim, dim) if isinstance(dim, str) else dim for dim in declared.dims)

    def _example(self, position: int) -> str:
        """The option's value with plausible sizes: 1 for a batch, 224 for the sides of an image, else 128."""
        declared, dims = self.inputs[position], self._filled(position)
        unclear = not declared.name or sum(other.name == declared.name for other in self.inputs) > 1
        name = str(position) if unclear else shlex.quote(declared.name)
        if dims is None:
            return f"{name}=SIZE,SIZE,…"
        side = 224 if len(dims) == 4 and declared.dtype.startswith("float") else 128
        sizes = []
        for place, dim in enumerate(dims):
            is_channel = side == 224 and place == 1
            sizes.append(dim if isinstance(dim, int) else 1 if place == 0 else 3 if is_channel else side)
        return f"{name}={','.join(map(str, sizes))}"


def _contradiction(name: str, sizes: Mapping[int, Sequence[str]]) -> str:
    return f"{name!r} is " + " and ".join(f"{size} in {', '.join(users)}" for size, users in sizes.items())
