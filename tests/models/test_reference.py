"""What is found out about the outputs of own models when they are prepared: real files, the host's real runtimes."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import UnreadableModel, WrongInput
from models.export.orders import FileOrder, FileTarget
from models.export.own import onnx_scales
from models.export.own.files import FileImport
from models.export.own.shaken import nudged
from models.given import NOTHING, Given, typed
from models.given_outputs import OutputGiven
from models.settings import Settings, read_settings
from models.store import ArtifactStore
from tests.rigs import own_onnx, own_tflite

FLOAT, INT64, UINT8, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8, TensorProto.BOOL
keys = count()


def take(path: Path, given: Given = NOTHING, toml: str | None = None) -> tuple[Any, dict[str, Any]]:
    """Take one file into a store; return its record and the arrays."""
    key = f"{next(keys):064x}"
    store, settings = ArtifactStore(path.parent / "store"), Settings()
    if toml is not None:
        path.with_suffix(".toml").write_text(toml)
        settings = read_settings(path.with_suffix(".toml"))
    target = FileTarget(format=path.suffix[1:], path=str(path), key=key)
    order = FileOrder(
        store=str(store.root), model="m", settings=settings, given=given, only_file=True, targets=(target,)
    )
    for _ in FileImport(order, store).make(target):
        pass
    artifact = store.find(key)
    assert artifact is not None
    with np.load(store.io_path(artifact), allow_pickle=False) as io:
        return artifact, dict(io)


def graph(
    path: Path,
    nodes: list[Any],
    outputs: dict[str, tuple[int, Any]],
    kind: tuple[int, Any] = (FLOAT, [1, 64]),
    **weights: Any,
) -> Path:
    """Write a file with one input `x`."""
    value = helper.make_tensor_value_info
    made = helper.make_graph(
        nodes,
        "graph",
        [value("x", *kind)],
        [value(name, *one) for name, one in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_place_of_a_maximum_is_free_where_last_bits_decide_it_and_nowhere_else(path: Path, dtype: str) -> None:
    """Of 16 pairs of scores every other is nearly equal, the rest are clearly apart."""
    left = np.random.default_rng(1).standard_normal((64, 16)).astype(dtype)
    right = left * np.where(np.arange(16) % 2, 0.7, 1).astype(dtype)
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=FLOAT if dtype == "float32" else TensorProto.FLOAT16),
        helper.make_node("MatMul", ["c", "left"], ["l"]),
        helper.make_node("MatMul", ["c", "right"], ["r"]),
        helper.make_node("Concat", ["l", "r"], ["both"], axis=0),
        helper.make_node("ArgMax", ["both"], ["y"], axis=0),
    ]
    graph(path, nodes, {"y": (INT64, [1, 16])}, left=left, right=right)
    artifact, io = take(path)
    (spec,) = artifact.outputs
    assert (spec.kind, spec.unchecked, spec.free) == ("exact", "", 8)
    assert io["free0"].tolist() == [[True, False] * 8]
    assert artifact.notes == ("output y: 8 of 16 elements hang on the last bits of a float, and are not compared",)


def test_the_same_of_a_model_that_is_fed_ids_alone(path: Path) -> None:
    table = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    table[1, 5] = table[1].max() + 1
    table[1, 2] = table[1, 5] * np.float32(1 + 1e-7)
    nodes = [helper.make_node("Gather", ["table", "x"], ["s"]), helper.make_node("ArgMax", ["s"], ["y"], axis=1)]
    graph(path, nodes, {"y": (INT64, [2, 1])}, kind=(INT64, [2]), table=table)
    artifact, io = take(path, typed(values=["x=1,2"]))
    assert io["free0"].tolist() == [[True], [False]]
    assert artifact.outputs[0].free == 1


def test_near_ties_of_a_tflite_file_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    b, options = own_tflite.Builder(rng), own_tflite.options
    weights = np.repeat(rng.standard_normal((8, 64)), 2, axis=0)
    weights[9::2] *= 0.7
    x = b.tensor("x", "float32", [1, 64])
    s = b.tensor("s", "float32", [1, 16])
    b.op("FULLY_CONNECTED", [x, b.tensor("w", "float32", [16, 64], weights), -1], [s], options("FullyConnectedOptions"))
    pairs = b.tensor("pairs", "float32", [8, 2])
    shape = b.tensor("shape", "int32", [2], [8, 2])
    b.op("RESHAPE", [s, shape], [pairs], options("ReshapeOptions", newShape=[8, 2]))
    y = b.tensor("y", "int64", [8])
    b.op("ARG_MAX", [pairs, b.tensor("axis", "int32", [], 1)], [y], options("ArgMaxOptions", outputType=4))
    b.ends([x], [y])
    path = tmp_path / "m.tflite"
    path.write_bytes(b.bytes())
    artifact, io = take(path)
    assert io["free0"].tolist() == [True] * 4 + [False] * 4
    assert artifact.outputs[0].free == 4


def test_what_mostly_hangs_on_last_bits_is_not_compared(path: Path) -> None:
    """The sign of a sum that is 0 but for rounding."""
    weights = np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("ReduceSum", ["x", "axes"], ["total"]),
        helper.make_node("Sub", ["a", "a0"], ["d"]),
        helper.make_node("Greater", ["d", "zero"], ["y"]),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
    ]
    fed = np.ones((1, 64), np.float32)
    settled = (fed.astype(np.float64) @ weights).astype(np.float32)
    graph(
        path,
        nodes,
        {"y": (BOOL, [1, 8]), "z": (FLOAT, [1, 8]), "total": (FLOAT, [1, 1])},
        w=weights,
        a0=settled,
        zero=np.float32(0),
        axes=np.array([1]),
    )
    artifact, io = take(path, typed(values=["x=1"]))
    y, z, total = artifact.outputs
    assert y.unchecked == "most of it hangs on the last bits of a float"
    assert (z.unchecked, z.free, total.unchecked) == ("", 0, "")
    assert "free0" not in io
    assert artifact.reference == "onnxruntime"


def test_a_number_of_detections_that_hangs_on_last_bits_is_not_compared(path: Path) -> None:
    weights = np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)
    settled = (np.ones((1, 64)) @ weights.astype(np.float64)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Greater", ["a", "limit"], ["found"]),
        helper.make_node("NonZero", ["found"], ["places"]),
    ]
    outputs = {"places": (INT64, [2, "n"]), "a": (FLOAT, [1, 8])}
    graph(path, nodes, outputs, w=weights, limit=settled)
    artifact, _ = take(path, typed(values=["x=1"]))
    places, found = artifact.outputs
    assert places.unchecked == "its shape hangs on the last bits of a float"
    assert found.unchecked == ""
    # Where the scores are clear, so is the number, and it is compared.
    graph(path, nodes, outputs, w=weights, limit=settled + np.where(np.arange(8) % 2, 1, -1).astype(np.float32))
    artifact, io = take(path, typed(values=["x=1"]))
    assert [(spec.unchecked, spec.free) for spec in artifact.outputs] == [("", 0), ("", 0)]
    assert io["out0"].shape == (2, 4)


def test_of_several_outputs_only_the_random_one_is_left_out(path: Path) -> None:
    nodes = [
        helper.make_node("Dropout", ["x", "ratio", "train"], ["noise"]),
        helper.make_node("Abs", ["x"], ["y"]),
    ]
    outputs = {"noise": (FLOAT, [1, 64]), "y": (FLOAT, [1, 64])}
    graph(path, nodes, outputs, ratio=np.float32(0.5), train=np.bool_(True))
    artifact, _ = take(path)
    noise, y = artifact.outputs
    assert (noise.unchecked, y.unchecked) == ("differs from run to run on the same input", "")
    assert (artifact.reference, artifact.reference_reason) == ("onnxruntime", "")


def test_without_any_output_to_compare_there_is_no_reference(tmp_path: Path) -> None:
    (path,) = own_onnx.write(tmp_path, "random_output")
    artifact, io = take(path)
    assert artifact.reference == "none"
    assert artifact.reference_reason == "output y differs from run to run on the same input"
    assert "out0" not in io


@pytest.mark.parametrize(
    ("name", "dtype", "scale"),
    [("int8_network", "uint8", 0.034), ("t_full_int8", "int8", 0.1), ("t_int16x8", "int16", 0.002)],
)
def test_quantized_outputs_are_known_by_their_scale(tmp_path: Path, name: str, dtype: str, scale: float) -> None:
    (path,) = (own_tflite if name.startswith("t_") else own_onnx).write(tmp_path, name)
    artifact, _ = take(path)
    (spec,) = artifact.outputs
    assert (spec.kind, spec.dtype, spec.scale) == ("quantized", dtype, pytest.approx(scale))
    assert 4 <= spec.steps <= 8
    assert 2 <= spec.steps_rms < 3


@pytest.mark.parametrize("name", ["all_nan", "t_all_nan"])
def test_nan_is_told_unless_it_was_asked_for(tmp_path: Path, name: str) -> None:
    (path,) = (own_tflite if name.startswith("t_") else own_onnx).write(tmp_path, name)
    size = {"all_nan": 16, "t_all_nan": 64}[name]
    assert take(path)[0].nonfinite == f"y: {size} of {size} values are NaN or infinite"
    assert take(path, typed(nonfinite=["y"]))[0].nonfinite == ""
    assert take(path, toml="[outputs.y]\nnonfinite = true")[0].outputs[0].nonfinite


def test_tolerances_of_the_user(tmp_path: Path) -> None:
    (quantized,) = own_onnx.write(tmp_path, "int8_network")
    (spec,) = take(quantized, typed(tolerances=["y=7steps"]))[0].outputs
    assert (spec.steps, spec.steps_rms) == (7, None)
    (spec,) = take(quantized, toml="tolerance = 0.05")[0].outputs
    assert 3 <= spec.steps <= 7  # of up to 133 steps from the zero point
    (spec,) = take(quantized, typed(tolerances=["2steps"]), toml="[outputs.y]\nsteps = 9")[0].outputs
    assert spec.steps == 2  # what was typed is more recent
    (floats,) = own_onnx.write(tmp_path, "weights_in_constants")
    (spec,) = take(floats, typed(tolerances=["0=0.25"]), toml="tolerance = 0.5")[0].outputs
    assert spec.tolerance == 0.25
    (spec,) = take(floats, toml="[outputs.y]\ntolerance = 0.125")[0].outputs
    assert spec.tolerance == 0.125
    with pytest.raises(UnreadableModel, match=r"m?.*outputs\.z: .* has no such output; it has y"):
        take(floats, toml="[outputs.z]\ntolerance = 0.125")


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("0.05", "", OutputGiven(tolerance=0.05)),
        ("1e-3", "", OutputGiven(tolerance=1e-3)),
        ("y=3steps", "y", OutputGiven(steps=3)),
        ("y=1 step", "y", OutputGiven(steps=1)),
        ("a=b=0.5", "a=b", OutputGiven(tolerance=0.5)),
        ("scope/y:0=.5", "scope/y:0", OutputGiven(tolerance=0.5)),
    ],
)
def test_what_is_typed_of_outputs(text: str, name: str, expected: OutputGiven) -> None:
    given = typed(tolerances=[text])
    assert given.output(name or "anything", 3) == expected
    assert given


@pytest.mark.parametrize(
    "text", ["", "y=", "y=abc", "-1", "y=nan", "inf", "0", "1e999", "steps", "y=-3steps", "0x10", "1_0", "٣"]
)
def test_what_is_mistyped_of_outputs(text: str) -> None:
    with pytest.raises(WrongInput, match="--tolerance"):
        typed(tolerances=[text])


def test_what_is_typed_twice() -> None:
    with pytest.raises(WrongInput, match="given twice"):
        typed(tolerances=["y=1", "y=2"])
    both = typed(tolerances=["y=1"], nonfinite=["y"]).output("y", 0)
    assert (both.tolerance, both.nonfinite) == (1, True)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[outputs.y]\ntolerance = 0", "outputs.y.tolerance: must be greater than 0"),
        ("[outputs.y]\nsteps = '3'", "outputs.y.steps"),
        ("[outputs.y]\ntolerance = 0.1\nsteps = 3", "has tolerance and steps; give one of them"),
        ("[outputs.y]\ntolerence = 0.1", "outputs.y.tolerence: unknown key; did you mean tolerance"),
        ("[outputs.y]\nnonfinite = 'yes'", "outputs.y.nonfinite"),
    ],
)
def test_mistakes_in_the_table_of_an_output(tmp_path: Path, toml: str, words: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(toml)
    with pytest.raises(UnreadableModel) as caught:
        read_settings(path)
    assert words in str(caught.value)


def node(kind: str, inputs: str, outputs: str, **more: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), **more)


@pytest.mark.parametrize(
    ("nodes", "scale"),
    [
        ([node("QuantizeLinear", "x s z", "y")], (0.5, 3)),
        ([node("QuantizeLinear", "x s z", "q"), node("Transpose", "q", "t"), node("MaxPool", "t", "y")], (0.5, 3)),
        ([node("QuantizeLinear", "x s z", "q"), node("Split", "q", "p y")], (0.5, 3)),
        ([node("QuantizeLinear", "x s z", "q"), node("TopK", "q k", "y i")], (0.5, 3)),
        ([node("QuantizeLinear", "x s z", "q"), node("TopK", "q k", "v y")], None),
        ([node("QuantizeLinear", "x s z", "q"), node("ArgMax", "q", "y")], None),
        ([node("QLinearConv", "x xs xz w ws wz s z", "y")], (0.5, 3)),
        ([node("QLinearSigmoid", "x xs xz s z", "y")], (0.5, 3)),
        ([node("QLinearConcat", "s z a as az b bs bz", "y")], (0.5, 3)),
        ([node("QGemm", "a as az b bs bz c s z", "y")], (0.5, 3)),
        ([node("QuantizeLinear", "x computed z", "y")], (1.0, 3)),
        ([node("DynamicQuantizeLinear", "x", "y ys yz")], (1.0, 0)),
        ([node("DynamicQuantizeLinear", "x", "q qs y")], None),
        ([node("MatMulInteger", "a b", "y")], None),
        ([node("Cast", "x", "y")], None),
        ([node("Identity", "z2", "y"), node("Identity", "y", "z2")], None),
        ([], None),
    ],
)
def test_a_scale_is_found_in_the_graph(nodes: list[Any], scale: tuple[float, int] | None) -> None:
    value = helper.make_tensor_value_info
    constants = [numpy_helper.from_array(np.float32(0.5), "s"), numpy_helper.from_array(np.uint8(3), "z")]
    outputs = [value("y", UINT8, None)]
    made = helper.make_graph(nodes, "g", [value("x", FLOAT, [1])], outputs, constants)
    assert onnx_scales.of_outputs(made).get(0) == scale
    constant = [helper.make_node("Constant", [], [one.name], value=one) for one in constants]
    assert onnx_scales.of_outputs(helper.make_graph([*constant, *nodes], "g", [], outputs)).get(0) == scale


def test_noise_leaves_what_cannot_be_changed_as_it_is() -> None:
    rng = np.random.default_rng(0)
    ids, picture = np.arange(6).reshape(1, 6), np.full((1, 8, 8, 3), 255, np.uint8)
    assert nudged([ids, np.array(True)], 1e-3, 1, rng) is None
    changed = nudged([ids, picture, np.ones((2, 2), np.float16)], 1e-2, 1, rng)
    assert changed is not None
    assert changed[0] is ids
    assert set(np.unique(changed[1])) == {254, 255}
    assert changed[2].dtype == np.float16
    odd = np.array([np.nan, np.inf, 0.0, 3e38], np.float32)
    (noisy,) = nudged([odd], 1e-5, 1, rng) or [odd]
    assert (np.isnan(noisy[0]), np.isinf(noisy[1]), noisy[2]) == (True, True, 0)


@pytest.mark.parametrize(
    ("nodes", "scale"),
    [
        ([node("DequantizeLinear", "x s z", "f")], (0.5, 3)),
        ([node("Transpose", "x", "t"), node("Identity", "t", "u"), node("DequantizeLinear", "u s z", "f")], (0.5, 3)),
        ([node("QLinearConv", "x s z w ws wz ys yz", "y")], (0.5, 3)),
        ([node("DequantizeLinear", "x computed z", "f")], None),
        ([node("DequantizeLinear", "w s z", "f"), node("Cast", "x", "c")], None),
        ([node("Identity", "x", "a"), node("Identity", "a", "x")], None),
        ([], None),
    ],
)
def test_the_scale_of_an_input_is_that_of_what_reads_it(nodes: list[Any], scale: tuple[float, int] | None) -> None:
    constants = [numpy_helper.from_array(np.float32(0.5), "s"), numpy_helper.from_array(np.uint8(3), "z")]
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", UINT8, [1])], [], constants)
    assert onnx_scales.of_inputs(made).get("x") == scale
