"""What the real runtimes say of models that ask for what they do not have: `unsupported`, in words; else `failed`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import backends
from backends.messages import is_lacking, plain
from harness.agent import failures
from models.errors import UnsupportedModel
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files
from tests.models import unsupported_files as files

Maker = Callable[[Path], Path]
ORT, OV, LITERT = "onnxruntime", "openvino", "tflite"
_DTYPES = {1: "float32", 5: "int16", 6: "int32", 11: "float64"}

LACKING: list[tuple[str, Maker, str]] = [
    (ORT, files.unknown_operator, "No Op registered for Magic with domain_version of 18"),
    (OV, files.unknown_operator, "No conversion rule found for operations: Magic-18"),
    (ORT, files.unknown_domain, "acme:Magic(-1) is not a registered function/op"),
    (OV, files.unknown_domain, "No conversion rule found for operations: acme.Magic"),
    (ORT, files.contrib_operator_of_tomorrow, "com.microsoft:Magic(-1) is not a registered function/op"),
    (ORT, files.training, "ai.onnx.preview.training:Gradient(-1) is not a registered function/op"),
    (ORT, files.new_opset, "Opset 99 is under development"),
    (ORT, files.new_ir, "Unsupported model IR version: 99, max supported IR version: 13"),
    (ORT, files.bfloat16, "Type 'tensor(bfloat16)' of input parameter (b) of operator (Elu)"),
    (ORT, files.complex_inside, "Type 'tensor(complex64)' of input parameter (c) of operator (Abs)"),
    (OV, files.complex_inside, "Unsupported data type COMPLEX64"),
    (ORT, files.int_conv, "Type 'tensor(int32)' of input parameter (x) of operator (Conv)"),
    (ORT, files.double_conv, "Could not find an implementation for Conv(11)"),
    (ORT, files.int16_relu, "Could not find an implementation for Max(13)"),
    (ORT, files.cubic_resize, "'Cubic' mode only supports"),
    (OV, files.string_inside, "Unsupported operation of type: Convert"),
    (OV, files.optional_inside, "No conversion rule found for operations: Optional-18, OptionalGetElement-18"),
    (OV, files.rank_nine, "Expected a 3D, 4D or 5D tensor for the input"),
    (OV, files.deform_conv, "No conversion rule found for operations: DeformConv-19"),
    (OV, files.string_split, "No conversion rule found for operations: StringSplit-20"),
    (OV, files.tree, "No conversion rule found for operations: ai.onnx.ml.TreeEnsembleRegressor"),
    (LITERT, files.operator_of_tomorrow, "Op builtin_code out of range: 999"),
    (OV, files.operator_of_tomorrow, "Operator builtin code 999 is out of range"),
    (LITERT, files.version_of_tomorrow, "Didn't find op for builtin opcode 'RELU' version '99'"),
    (LITERT, files.stablehlo, "Didn't find op for builtin opcode 'STABLEHLO_CBRT'"),
    (OV, files.stablehlo, "No translator found for STABLEHLO_CBRT node"),
    (LITERT, files.custom, "unresolved custom op: Magic"),
    (OV, files.custom, "No translator found for Magic node"),
    (LITERT, files.flex, "Select TensorFlow op(s)"),
    (OV, files.flex, "No translator found for FlexErf node"),
    (LITERT, files.type_without_kernel, "Only float32, uint8, int8 and int16 are supported currently, got INT64"),
    (LITERT, files.ceil_of_integers, "input->type != kTfLiteFloat32 (INT32 != FLOAT32)"),
    (LITERT, files.floor_of_integers, "input->type == kTfLiteFloat32 || input->type == kTfLiteFloat16"),
    (LITERT, files.negative_of_bytes, "Neg only currently supports int64, int32, and float32, got 3"),
    (LITERT, files.greater_of_doubles, "Does not support type 11, requires float|int|uint8"),
    (LITERT, files.logical_of_floats, "Logical ops only support bool type"),
    (OV, files.logical_of_floats, "must have boolean element type but have element type f32"),
    (OV, files.absolute_of_booleans, "This operation does not support input with element type: boolean"),
    (LITERT, files.absolute_of_booleans, "Type BOOL is unsupported by op Abs"),
    (LITERT, files.gelu_of_integers, "Only float32, int8 and uint8 supported currently, got INT32"),
    (OV, files.gelu_of_integers, "Argument element type must be f16, bf16, f32, f64"),
    (LITERT, files.type_of_tomorrow, "Unsupported data type 99"),
    (OV, files.type_of_tomorrow, "Unexpected type:"),
    (OV, files.tflite_complex, "No translator found for REAL node"),
    (OV, files.tflite_resource, "Unexpected type: RESOURCE"),
    (LITERT, files.rank_seven, "XNNPACK takes this model and cannot prepare it"),
]
# What one runtime lacks another has: the file is sound.
RUNS: list[tuple[str, Maker]] = [
    (OV, files.new_opset), (OV, files.new_ir), (OV, files.bfloat16), (OV, files.int_conv), (OV, files.double_conv),
    (OV, files.int16_relu), (OV, files.cubic_resize), (OV, files.version_of_tomorrow), (OV, files.type_without_kernel),
    (OV, files.rank_seven), (ORT, files.float8), (ORT, files.string_inside), (ORT, files.optional_inside),
    (ORT, files.rank_nine), (ORT, files.deform_conv), (ORT, files.string_split), (ORT, files.tree),
    (ORT, files.sequence_inside), (LITERT, files.tflite_complex), (LITERT, files.tflite_resource),
]  # fmt: skip


def infer(backend: str, path: Path, **options: str) -> None:
    """Load and run once on ones."""
    if path.suffix == ".onnx":
        graph = onnx.load(path).graph
        weights = {tensor.name for tensor in graph.initializer}
        specs = [_spec(value) for value in graph.input if value.name not in weights]
    else:
        from models.export.own.tflite import OwnTflite

        specs = [
            {"name": one.name, "dtype": one.dtype, "shape": list(one.dims or ())}
            for one in OwnTflite(path).declared_inputs()
        ]
    session = backends.find(backend)().load(str(path), specs, {"threads": 1, "precision": "fp32", **options})
    session.bind([(spec["name"], np.ones(spec["shape"], spec["dtype"])) for spec in specs])
    session.run()
    session.outputs()


def _spec(value: Any) -> dict[str, Any]:
    kind = value.type.tensor_type
    return {"name": value.name, "dtype": _DTYPES[kind.elem_type], "shape": [dim.dim_value for dim in kind.shape.dim]}


def file(make: Maker, folder: Path) -> Path:
    return make(folder / f"m.{'tflite' if make in files.TFLITE else 'onnx'}")


@pytest.mark.parametrize(("backend", "make", "words"), LACKING, ids=[f"{one[0]}-{one[1].__name__}" for one in LACKING])
def test_what_a_runtime_lacks_is_unsupported(backend: str, make: Maker, words: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        infer(backend, file(make, tmp_path))
    event = failures.error(caught.value, "load")
    assert event["kind"] == "unsupported"
    assert words in event["message"]
    assert "\n" not in event["message"]
    assert ".cpp:" not in event["message"]
    assert "_src/" not in event["message"]


@pytest.mark.parametrize(("backend", "make"), RUNS, ids=[f"{one[0]}-{one[1].__name__}" for one in RUNS])
def test_what_another_runtime_lacks_runs(backend: str, make: Maker, tmp_path: Path) -> None:
    infer(backend, file(make, tmp_path))


def test_the_option_that_runs_what_xnnpack_cannot_prepare_is_named_and_does(tmp_path: Path) -> None:
    path = file(files.rank_seven, tmp_path)
    with pytest.raises(backends.Unsupported, match=r"failed to prepare\.\); tflite\.xnnpack=off runs it"):
        infer(LITERT, path)
    infer(LITERT, path, xnnpack="off")


def test_a_broken_model_is_no_lack(tmp_path: Path) -> None:
    path = onnx_files.contradictory(tmp_path / "unsupported.onnx")  # the name says nothing about the model
    with pytest.raises(Exception, match=r".") as caught:
        infer(ORT, path)
    assert failures.error(caught.value, "load")["kind"] == "failed"
    assert not is_lacking(f"[ONNXRuntimeError] : 1 : FAIL : Load model from {path} failed:the file ends early")


def test_messages_are_in_plain_words() -> None:
    said = (
        "Exception from src/inference/src/cpp/core.cpp:84:\nCheck 'false' failed at src/frontends/x.cpp:151:\n"
        "FrontEnd API failed with OpConversionFailure:\nModel wasn't fully converted.\nSummary:\n"
        "-- No conversion rule found for operations: Magic-18\n\n"
    )
    assert plain(said) == "No conversion rule found for operations: Magic-18"
    assert plain("failed to delegate X node #0Node number 1 (Y) failed to prepare.").count("#0 Node number 1 (Y)") == 1
    assert plain("Load model from /a folder/m.onnx failed:no such thing") == "no such thing"


@pytest.mark.parametrize("make", files.ONNX + files.TFLITE, ids=lambda make: make.__name__)
def test_what_the_runtime_here_lacks_is_prepared_without_a_reference(make: Maker, tmp_path: Path) -> None:
    """Another runtime may run it; only an input that nobody can feed leaves nothing to measure."""
    (model,) = prepare(resolve([str(file(make, tmp_path))]), ArtifactStore(tmp_path / "store"))
    if make is files.tflite_text:
        (error,) = model.errors.values()
        assert isinstance(error, UnsupportedModel)
        assert "input x holds string, which cannot be fed" in str(error)
        return
    (artifact,) = model.artifacts.values()
    host = LITERT if make in files.TFLITE else ORT
    lacking = {(backend, made) for backend, made, _ in LACKING if made is not files.rank_seven}
    assert (artifact.reference == "none") == ((host, make) in lacking)


@pytest.mark.parametrize(
    "make", [files.text_in, files.optional_in, onnx_files.sequence], ids=lambda make: make.__name__
)
def test_an_input_that_cannot_be_fed_is_unsupported(make: Maker, tmp_path: Path) -> None:
    (model,) = prepare(resolve([str(make(tmp_path / "m.onnx"))]), ArtifactStore(tmp_path / "store"))
    assert [type(error) for error in model.errors.values()] == [UnsupportedModel]


def test_an_assignment_inside_what_xnnpack_took_is_counted_with_it(tmp_path: Path) -> None:
    spec = {"name": "x", "dtype": "float32", "shape": [1, 4]}
    path = files.tflite_resource(tmp_path / "m.tflite")
    actual = backends.find(LITERT)().load(str(path), [spec], {"threads": 1, "precision": "fp32"}).actual()
    assert (actual["placement"], actual["left"]) == ({"XNNPACK": 3}, {})


def test_all_unknown_operators_are_named_not_only_the_first(tmp_path: Path) -> None:
    """In branches and functions, too; not those of a function that the file brings along, nor of a known domain."""
    nodes = [
        helper.make_node("Magic", ["x"], ["a"]),
        helper.make_node("Own", ["a"], ["b"], domain="mine"),
        helper.make_node("Foo", ["b"], ["c"], domain="acme"),
        helper.make_node("Gelu", ["c"], ["y"], domain="com.microsoft"),
    ]
    body = [helper.make_node("Relu", ["p"], ["q"]), helper.make_node("Inside", ["q"], ["r"], domain="acme")]
    sets = [helper.make_opsetid(name, 1) for name in ("acme", "com.microsoft", "mine")]
    sets.append(helper.make_opsetid("", 18))
    own = helper.make_function("mine", "Own", ["p"], ["r"], body, sets)
    graph = helper.make_graph(nodes, "graph", [onnx_files.value("x")], [onnx_files.value("y")])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=10, functions=[own]), path)
    (model,) = prepare(resolve([str(path)]), ArtifactStore(tmp_path / "store"))
    (artifact,) = model.artifacts.values()
    words = "operators that ONNX Runtime on this machine does not know: Magic, acme:Foo, acme:Inside"
    assert artifact.notes == (words,)


def test_custom_operators_and_those_of_a_later_schema_are_named(tmp_path: Path) -> None:
    graph = files.Graph()
    x, a, y = (graph.tensor(name, "FLOAT32", (1, 4)) for name in "xay")
    graph.op("CUSTOM", [x], [a], custom=b"Magic")
    graph.op(999, [a], [y])
    (model,) = prepare(resolve([str(graph.write(tmp_path / "m.tflite", [x], [y]))]), ArtifactStore(tmp_path / "store"))
    (artifact,) = model.artifacts.values()
    assert artifact.notes == ("operators that are custom or of a later schema: Magic, number 999",)


def test_an_input_of_a_type_of_tomorrow(tmp_path: Path) -> None:
    graph = files.Graph()
    x, y = graph.tensor("x", "FLOAT32", (1, 4)), graph.tensor("y", "FLOAT32", (1, 4))
    graph.graph.tensors[x].type = 99
    graph.op("RELU", [x], [y])
    (model,) = prepare(resolve([str(graph.write(tmp_path / "m.tflite", [x], [y]))]), ArtifactStore(tmp_path / "store"))
    (error,) = model.errors.values()
    assert isinstance(error, UnsupportedModel)
    assert "input x holds type number 99" in str(error)
