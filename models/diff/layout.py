"""What is inside a model file, as far as it can be compared: tensors and the operators that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from results.records import Record

# What one copy hands out and is fed, all tensors together: it lies in the memory of the device several times.
BATCH_BYTES = 128 << 20
# Taken for a tensor whose size nobody knows before it runs.
UNKNOWN_BYTES = 4 << 20
# More numbers are no sizes and axes.
_MOST_SETTINGS = 256


class Tensor(Record):
    """A tensor that an operator makes (None: the model's input). `dtype` is "" where no NumPy array can hold it."""

    name: str
    dtype: str
    size_bytes: int
    operator: int | None


class Operator(Record):
    """An operator, with the numbers of the tensors that it reads (constants in the file left out) and makes.

    `constant`: it computes from constants alone, so nothing that is fed changes what it makes.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constant: bool


class Layout(Record):
    """A graph in the order it runs. `outputs` are the model's own, None for one that cannot be compared."""

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int | None, ...]

    def made_by(self, first: int, end: int) -> list[int]:
        """The tensors that operators `first` to `end` (not included) make and that can be compared."""
        return [
            number
            for operator in self.operators[first:end]
            for number in operator.outputs
            if self.tensors[number].dtype
        ]

    def batches(self, limit_bytes: int = BATCH_BYTES) -> list[tuple[int, int]]:
        """The operators in runs of neighbors, each with tensors of no more bytes than that, or a single operator."""
        found, first, total = [], 0, 0
        for number, operator in enumerate(self.operators):
            size = sum(self.tensors[one].size_bytes for one in (*operator.inputs, *operator.outputs))
            if number > first and total + size > limit_bytes:
                found.append((first, number))
                first, total = number, 0
            total += size
        return [*found, (first, len(self.operators))] if self.operators else []


class Part(Record):
    """A copy of the model that hands out what operators `first` to `end` (not included) make.

    `whole`: the model as it is. `cut`: these operators alone, each fed with given tensors instead of what the one
    before it has made; `constant` ones, whose results are part of the file so to speak, are not cut off.
    """

    kind: Literal["whole", "cut"]
    first: int
    end: int

    @property
    def stem(self) -> str:
        """The name of its file and, with the suffix .json, of its `Copy`."""
        return f"{self.kind}-{self.first}-{self.end}"


class CopyInput(Record):
    """An input of a copy: its name in the file, and the tensor that is fed."""

    name: str
    tensor: int


class Copy(Record):
    """What a copy takes and hands out, in order."""

    inputs: tuple[CopyInput, ...]
    outputs: tuple[int, ...]


def handed_out(layout: Layout, part: Part) -> list[int]:
    """The tensors of a whole copy: the model's own outputs first, so that none of its operators is left out."""
    own = [number for number in layout.outputs if number is not None]
    return list(dict.fromkeys([*own, *layout.made_by(part.first, part.end)]))


def copy_inputs(names: Sequence[str], tensors: Sequence[int]) -> tuple[CopyInput, ...]:
    """Inputs in order."""
    return tuple(CopyInput(name=name, tensor=tensor) for name, tensor in zip(names, tensors, strict=True))


def is_setting(array: NDArray[Any]) -> bool:
    """Whether a tensor holds sizes or axes, as far as its type and size tell.

    It becomes a constant of a cut copy: runtimes want to know such numbers beforehand.
    """
    return array.size <= _MOST_SETTINGS and (array.dtype.kind == "b" or array.dtype in (np.int32, np.int64))
