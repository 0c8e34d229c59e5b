"""In which types a model really computes, as its runtime tells after the last inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backends
from backends.base import shares
from models.export.own.onnx import OwnOnnx
from models.export.own.tflite import OwnTflite
from tests.rigs import own_onnx, own_tflite


def examined(folder: Path, name: str, backend: str, precision: str) -> dict[str, Any]:
    """Run a case once and ask the backend."""
    (path,) = (own_tflite if name.startswith("t_") else own_onnx).write(folder, name)
    declared = (OwnTflite(path) if path.suffix == ".tflite" else OwnOnnx(path)).declared_inputs()
    inputs: list[dict[str, Any]] = [
        {"name": one.name, "dtype": one.dtype, "shape": list(one.dims or ())} for one in declared
    ]
    session = backends.find(backend)().load(str(path), inputs, {"threads": 1, "precision": precision})
    session.bind([(one["name"], np.ones(one["shape"], one["dtype"])) for one in inputs])
    session.run()
    return session.examine()


def compute(folder: Path, name: str, backend: str, precision: str) -> dict[str, int] | None:
    found: dict[str, int] | None = examined(folder, name, backend, precision).get("compute")
    return found


@pytest.mark.parametrize(
    ("name", "backend", "precision", "expected"),
    [
        ("fp16_io", "onnxruntime", "fp16", {"fp32"}),  # it puts casts around
        ("fp16_io", "openvino", "fp16", {"fp32"}),
        ("qdq_initializers", "onnxruntime", "int8", {"int8", "fp32"}),
        ("qdq_constants", "openvino", "int8", {"int8"}),
        ("int8_network", "onnxruntime", "int8", {"int8"}),
        ("int8_network", "openvino", "int8", {"int8"}),
        ("int4_weights", "onnxruntime", "int4", {"fp32"}),
        ("int4_weights", "openvino", "int4", {"fp32"}),
        ("five_d", "openvino", "fp32", {"fp32"}),
        ("t_dense", "tflite", "fp32", {"fp32"}),
        ("t_dynamic_range", "tflite", "int8", {"int8"}),  # the floats are made int8 on the way
        ("t_full_int8", "tflite", "int8", {"int8"}),
        ("t_full_int8", "openvino", "int8", {"int8"}),
        ("t_int16x8", "tflite", "int16x8", {"int16"}),
    ],
)
def test_the_types_that_a_runtime_computes_in(
    tmp_path: Path, name: str, backend: str, precision: str, expected: set[str]
) -> None:
    found = compute(tmp_path, name, backend, precision)
    assert found is not None
    assert set(found) == expected
    assert all(count > 0 for count in found.values())


def test_what_no_kernel_is_known_of_is_not_told(tmp_path: Path) -> None:
    """A loop: what its body computes in OpenVINO does not say."""
    assert compute(tmp_path, "loop_by_input", "openvino", "fp32") is None


def test_a_plain_file_is_not_loaded_twice_to_find_out(tmp_path: Path) -> None:
    assert compute(tmp_path, "five_d", "onnxruntime", "fp32") is None


@pytest.mark.parametrize(("backend", "kind"), [("onnxruntime", "QLinearConv"), ("openvino", "Convolution")])
def test_the_operators_that_take_the_time_of_an_int8_file(tmp_path: Path, backend: str, kind: str) -> None:
    found = examined(tmp_path, "int8_network", backend, "int8")["time"]
    assert found[kind] > 0
    assert 0.9 < sum(found.values()) < 1.01
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert "time" not in examined(tmp_path, "five_d", backend, "fp32"), "nobody pays a second load for a plain file"


def test_shares_are_of_all_the_time_and_the_largest_come_first() -> None:
    assert shares([("Conv", 2.0), ("Add", 1.0), ("Conv", 5.0), ("None", 0.0)]) == {"Conv": 0.875, "Add": 0.125}
    assert len(shares([(f"kind{n}", 1.0) for n in range(20)])) == 8
    assert shares([]) == {}
