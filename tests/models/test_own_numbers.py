"""How many weights the user's files have and in which types, wherever they keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.export.own import onnx_numbers
from models.export.own.numbers import Numbers
from models.export.own.tflite import OwnTflite
from tests.models import onnx_files as files
from tests.rigs import own_onnx, own_tflite

FLOAT, HALF, INT8, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8


def told(found: Numbers) -> tuple[int, str, str, str]:
    return found.parameters, found.weights_precision, found.activations_precision, found.precision


def count(nodes, weights=(), functions=(), x=FLOAT) -> tuple[int, str, str, str]:
    graph = helper.make_graph(nodes, "g", [files.value("x", x)], [files.value("y")], list(weights))
    return told(onnx_numbers.numbers(helper.make_model(graph, functions=list(functions))))


def node(kind: str, inputs: str, output: str = "y", **attributes):
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def tensor(name: str, *shape: int, kind: int = FLOAT):
    made = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value="w.bin")  # nothing here reads the numbers themselves
    return made


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("weights_in_constants", (4096, "fp32", "fp32", "fp32")),
        ("qdq_initializers", (864, "int8", "int8", "int8")),
        ("qdq_constants", (864, "int8", "int8", "int8")),
        ("int8_network", (3888, "int8", "int8", "int8")),
        ("int4_weights", (4096, "int4", "fp32", "int4")),
        ("fp16_io", (432, "fp16", "fp16", "fp16")),
        ("loop_by_input", (4096, "fp32", "fp32", "fp32")),
        ("empty_past", (0, "", "fp32", "fp32")),
        ("t_dense", (2048, "fp32", "fp32", "fp32")),
        ("t_dynamic_range", (2048, "int8", "fp32", "int8")),
        ("t_full_int8", (2080, "int8", "int8", "int8")),
        ("t_int16x8", (2048, "int8", "int16", "int16x8")),
    ],
)
def test_the_cases(tmp_path: Path, case: str, expected: tuple[int, str, str, str]) -> None:
    if case.startswith("t_"):
        assert told(OwnTflite(own_tflite.write(tmp_path, case)[0]).numbers()) == expected
    else:
        assert told(onnx_numbers.numbers(onnx.load(own_onnx.write(tmp_path, case)[0]))) == expected


def test_weights_in_branches_are_counted(tmp_path: Path) -> None:
    assert told(onnx_numbers.numbers(onnx.load(files.branching(tmp_path / "m.onnx"))))[:2] == (24, "fp32")


def test_branches_may_use_one_name_for_two_weights() -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [node("MatMul", "x w", "z")], name, [], [files.value("z")], [tensor("w", 4, size)]
        )
        for name, size in (("then", 3), ("else", 5))
    }
    assert count([node("If", "flag", **branches)])[0] == 32


def test_weights_in_functions_are_counted() -> None:
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(np.ones((4, 3), np.float16)))
    nodes = [constant, helper.make_node("MatMul", ["a", "w"], ["b"])]
    function = helper.make_function("mine", "Layer", ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])
    assert count([node("Layer", "x", domain="mine")], functions=[function])[:2] == (12, "fp16")


def test_what_is_no_weight_is_not_counted() -> None:
    nodes = [
        helper.make_node("Constant", [], ["factor"], value_float=0.5),
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.float32(0.5))),
        helper.make_node("Constant", [], ["axes"], value_ints=[0, 1]),
        node("Resize", "x none scales", "big"),
        node("Clip", "big low high", "cut"),
        node("Mul", "cut half", "less"),
        node("Reshape", "less shape"),
    ]
    weights = [tensor("scales", 4), tensor("low"), tensor("high"), tensor("shape", 2, kind=TensorProto.INT64)]
    assert count(nodes, weights)[:2] == (0, "")


def test_types_stand_in_the_order_of_their_elements() -> None:
    nodes = [node("MatMul", "x a", "h"), node("MatMul", "h b")]
    weights = [tensor("a", 4, 4, kind=HALF), tensor("b", 4, 8)]
    assert count(nodes, weights)[1] == "fp32 + fp16"


def test_a_table_does_not_decide_what_is_computed_in() -> None:
    """A language model: the embedding in fp32 is larger than all int8 layers together."""
    nodes = [
        node("Gather", "table x", "h"),
        node("DynamicQuantizeLinear", "h", "q"),
        node("MatMulInteger", "q w"),
    ]
    found = count(nodes, [tensor("table", 1000, 4), tensor("w", 4, 4, kind=INT8)], x=TensorProto.INT64)
    assert found == (4016, "fp32 + int8", "int8", "int8")


def test_floats_that_are_quantized_when_loaded_count_as_that() -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("QuantizeLinear", "w s z", "wq"),
        node("DequantizeLinear", "wq s z", "wd"),
        node("MatMul", "xd wd"),
    ]
    assert count(nodes, [tensor("w", 4, 3), tensor("s"), tensor("z", kind=INT8)]) == (12, "int8", "int8", "int8")


@pytest.mark.parametrize(
    ("kind", "name"), [("INT4", "int4"), ("UINT4", "int4"), ("FLOAT8E4M3FN", "fp8"), ("INT16", "int16")]
)
def test_weights_behind_dequantizelinear(kind: str, name: str) -> None:
    nodes = [node("DequantizeLinear", "w s", "wd"), node("MatMul", "x wd")]
    found = count(nodes, [tensor("w", 4, 3, kind=getattr(TensorProto, kind)), tensor("s")])
    assert found[:3] == (12, name, "fp32")


def test_int16_activations_beside_int8_weights() -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "w s", "wd"),
        node("MatMul", "xd wd"),
    ]
    weights = [tensor("w", 4, 3, kind=INT8), tensor("s"), tensor("z", kind=TensorProto.UINT16)]
    assert count(nodes, weights) == (12, "int8", "int16", "int16x8")


def test_bfloat16_inside_casts() -> None:
    nodes = [
        node("Cast", "x", "xb", to=TensorProto.BFLOAT16),
        node("MatMul", "xb w", "yb"),
        node("Cast", "yb", to=FLOAT),
    ]
    assert count(nodes, [tensor("w", 4, 3, kind=TensorProto.BFLOAT16)]) == (12, "bf16", "bf16", "bf16")


@pytest.mark.parametrize(("bits", "elements"), [(2, 256), (4, 128), (8, 64)])
def test_packed_tables_are_unpacked(bits: int, elements: int) -> None:
    found = count([node("GatherBlockQuantized", "w x s", bits=bits)], [tensor("w", 8, 8, kind=UINT8), tensor("s", 8)])
    assert found[:2] == (elements, f"int{bits}")


def test_what_only_another_signature_runs_is_not_counted(tmp_path: Path) -> None:
    (path,) = own_tflite.write(tmp_path, "t_two_signatures")
    assert OwnTflite(path).numbers().parameters == 2048
