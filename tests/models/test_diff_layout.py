"""A large graph is compared in batches that are bounded and leave nothing out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.diff.layout import Layout, Operator, Tensor


def chain(sizes: list[int]) -> Layout:
    """Operators in a row, each making a tensor of so many bytes out of the one before."""
    tensors = [
        Tensor(name=str(place), dtype="int8", size_bytes=size, operator=place) for place, size in enumerate(sizes)
    ]
    operators = [
        Operator(kind="Relu", name="", inputs=(place - 1,) if place else (), outputs=(place,), constant=False)
        for place in range(len(sizes))
    ]
    return Layout(operators=tuple(operators), tensors=tuple(tensors), inputs=(), outputs=())


@given(st.lists(st.integers(0, 100)), st.integers(1, 300))
def test_batches_cover_every_operator_once_and_are_bounded(sizes: list[int], limit: int) -> None:
    layout = chain(sizes)
    batches = layout.batches(limit)
    assert [place for first, end in batches for place in range(first, end)] == list(range(len(sizes)))
    for first, end in batches:
        size = sum(
            layout.tensors[one].size_bytes
            for operator in layout.operators[first:end]
            for one in (*operator.inputs, *operator.outputs)
        )
        assert size <= limit or end - first == 1
    assert sum(len(layout.made_by(first, end)) for first, end in batches) == len(sizes)
