"""The most memory that the activations of a network take at once.

Live activations: a tensor is alive from the operator that makes it to the last one that reads it. Views share memory,
and an element-wise operator (addition, normalization, activation) writes over an input that nothing reads later. The
peak is the largest sum of tensors alive at any operator, its inputs and output included; weights are not activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Peak:
    """The most memory that activations take at once, in bytes with 32 and with 16 bits per element, and where."""

    layer: str
    bytes_32: int
    bytes_16: int


@dataclass
class Operation:
    """One operator that makes a tensor: memory read and made (storage to elements), by its keys."""

    module: str
    elementwise: bool
    reads: dict[int, int]
    makes: dict[int, int]


@dataclass
class _Buffer:
    elements: int
    first: int
    last: int


def peak(operations: Sequence[Operation], image: Tensor, output: Tensor) -> Peak:
    """The operator at which most elements are alive."""
    end = len(operations)
    last_read = {key_of(output): end}
    for index in range(end - 1, -1, -1):
        for key in (*operations[index].reads, *operations[index].makes):
            last_read.setdefault(key, index)
    buffers = {key_of(image): _Buffer(image.numel(), 0, last_read.get(key_of(image), 0))}
    kept = list(buffers.values())
    for index, operation in enumerate(operations):
        for key, elements in operation.makes.items():
            over = next(
                (
                    buffers[read]
                    for read, size in operation.reads.items()
                    if operation.elementwise and read in buffers and size == elements and buffers[read].last == index
                ),
                None,
            )
            if over is None:
                over = _Buffer(elements, index, last_read[key])
                kept.append(over)
            over.last = last_read[key]
            buffers[key] = over
    sums = [0] * max(1, end)
    for buffer in kept:
        for index in range(buffer.first, min(buffer.last, end - 1) + 1):
            sums[index] += buffer.elements
    most = max(range(len(sums)), key=sums.__getitem__)
    return peak_of(operations[most].module if operations else "", sums[most])


def peak_of(layer: str, elements: int) -> Peak:
    return Peak(layer, 4 * elements, 2 * elements)


def key_of(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def elements_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // max(1, tensor.element_size())
