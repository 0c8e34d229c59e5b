"""Arrays inside records: what comes out is what was put in, and nothing else comes out."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from results.records import packed, unpacked


@given(arrays.arrays(st.sampled_from(["uint8", "uint32", "float32"]), arrays.array_shapes(min_side=0, max_dims=3)))
def test_an_array_comes_back_bit_for_bit(array: np.ndarray) -> None:
    found = unpacked(packed(array), array.dtype.name, array.shape)
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        _text(b"not compressed"),
        packed(np.zeros(3, "uint32")),  # too short
        packed(np.zeros(5, "uint32")),  # too long
        _text(zlib.compress(bytes(16))[:-1]),  # cut off
        _text(zlib.compress(bytes(16)) + b"more"),
        _text(zlib.compress(bytes(1 << 20))),  # far more than was promised
    ],
)
def test_whatever_else_stands_there_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="packed array"):
        unpacked(text, "uint32", (4,))
