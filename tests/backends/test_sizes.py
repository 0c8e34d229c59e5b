"""Sizes that a file leaves open are set by the runtime's own means, and left open where it then does not load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import backends
from backends.base import Session
from backends.onnxruntime import symbol_sizes
from tests.models import onnx_files

Dims = list[int | str | None]
BOTH = pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])


def load(backend: str, path: Path, dims: dict[str, Dims], **arrays: np.ndarray) -> Session:
    """Load a file for these arrays, and bind them."""
    inputs = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "dims": dims.get(name, [])}
        for name, array in arrays.items()
    ]
    session = backends.find(backend)().load(str(path), inputs, {"threads": 1, "precision": "fp32"})
    session.bind(list(arrays.items()))
    return session


@BOTH
def test_a_declared_output_of_another_size_does_not_matter(tmp_path: Path, backend: str) -> None:
    path = onnx_files.image(tmp_path / "m.onnx")
    session = load(backend, path, {"x": ["n", 3, "h", "w"]}, x=np.ones((2, 3, 16, 12), np.float32))
    for _ in range(3):
        session.run()
    assert session.outputs()[0].shape == (2, 2, 16, 12)
    if backend == "onnxruntime":
        assert session.actual()["sizes"] == {"n": 2, "h": 16, "w": 12}


@BOTH
@pytest.mark.parametrize("make", [onnx_files.misdeclared, lambda path: onnx_files.image(path, None, None)])
def test_nor_where_no_size_can_be_set(tmp_path: Path, backend: str, make: Callable[[Path], Path]) -> None:
    """ONNX Runtime keeps the first output for the second run, and refuses it where the file declares another size."""
    path = make(tmp_path / "m.onnx")
    is_image = path.read_bytes().find(b"Conv") > 0
    x = np.ones((1, 3, 16, 12) if is_image else (1, 4), np.float32)
    session = load(backend, path, {"x": ["n", 3, None, None]} if is_image else {}, x=x)
    for _ in range(3):
        session.run()
    assert session.outputs()[0].shape == ((1, 2, 16, 12) if is_image else (4, 2))


@BOTH
@pytest.mark.parametrize(("rate", "size"), [(16000, 512), (8000, 256)])
def test_a_branch_that_the_size_contradicts_is_left_alone(tmp_path: Path, backend: str, rate: int, size: int) -> None:
    path = onnx_files.branch_by_value(tmp_path / "m.onnx")
    session = load(backend, path, {"x": ["batch", "n"]}, x=np.ones((1, size), np.float32), rate=np.array(rate))
    session.run()
    assert session.outputs()[0].shape == (1, 3)
    assert session.actual()["sizes"] == "left open"


def test_only_a_symbol_of_one_size_has_one() -> None:
    inputs = [
        {"name": "a", "shape": [1, 7, 5, 0], "dims": ["batch", "seq", None, "past"]},
        {"name": "b", "shape": [1, 8], "dims": ["batch", "seq"]},
        {"name": "c", "shape": [3]},
    ]
    assert symbol_sizes(inputs) == {"batch": 1}
