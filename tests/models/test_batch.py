"""How many examples one inference computes, by the shapes of what goes in and comes out."""

from __future__ import annotations

from typing import Any

import pytest

from models.batch import batch_of
from results.records import InputSpec, TensorSpec


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch"),
    [
        ([((4, 3, 32, 32), None)], [(4, 10)], 4),
        ([((1, 3, 32, 32), None)], [(1, 10), (1, 5, 4)], 1),
        ([((8, 16), ("batch", 16)), ((8, 16), None)], [(8, 2)], 8),
        ([((8, 16), None), ((), None)], [(8, 2)], 8),  # a scalar beside, like a sampling rate
        ([((1, 3, 32, 32), None)], [(7, 6)], None),  # boxes
        ([((8, 16), None), ((2, 16), None)], [(8, 2)], None),
        ([((8, 16), None)], [()], None),
        ([((8, 16), None)], [], None),  # no output is known
        ([((128,), None)], [(128,)], None),
        ([((20, 1, 8), ("seq_len", 1, 8))], [(20, 1, 4)], None),
        ([((20, 1, 8), ("T", "N", 8))], [(20, 1, 4)], None),
        ([], [(1, 4)], 1),
        ([((0, 4), ("batch", 4))], [(0, 2)], 0),
    ],
)
def test_it_is_the_size_that_all_share(
    inputs: list[tuple[tuple[int, ...], Any]], outputs: list[tuple[int, ...]], batch: int | None
) -> None:
    fed = [InputSpec(name="x", dtype="float32", shape=shape, dims=dims) for shape, dims in inputs]
    made = [TensorSpec(name="y", dtype="float32", shape=shape) for shape in outputs]
    assert batch_of(fed, made) == batch
