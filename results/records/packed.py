"""Arrays of whole numbers and floats as text inside records: base64 of their compressed little-endian bytes."""

from __future__ import annotations

import base64
import zlib
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

MAX_PACKED = 32 << 20
"""Characters of one packed array."""
Packed = Annotated[str, Field(max_length=MAX_PACKED, pattern=r"^[A-Za-z0-9+/]*={0,2}$")]


def packed(array: NDArray[Any]) -> str:
    """The array's elements as text; its type and shape are known where it is read."""
    return base64.b64encode(zlib.compress(array.astype(array.dtype.newbyteorder("<")).tobytes())).decode()


def unpacked(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array that `packed` was given. Raises ValueError for a text that holds anything else; no more is unpacked."""
    kind = np.dtype(dtype).newbyteorder("<")
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(base64.b64decode(text, validate=True), size + 1)
    except (zlib.error, ValueError) as exc:
        raise ValueError(f"not a packed array: {exc}") from exc
    if len(content) != size or not reader.eof or reader.unused_data:
        raise ValueError(f"a packed array is not {dtype} of the shape {shape}")
    return np.frombuffer(content, kind).astype(dtype).reshape(shape)
