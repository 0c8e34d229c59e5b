"""`bench accuracy` and `bench run --accuracy` in a row with their exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.rigs.bench import Bench
from tests.rigs.images import CLASSES, MEAN, SIZE, STD, images, written_set
from tests.rigs.own_tflite import Builder, options

SETTINGS = """\
[preprocessing]
crop = 64
rule = "none"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[accuracy]
value = {value}
dataset = "set"
source = "us"
threshold = 2
"""


def test_a_model_that_is_less_accurate_than_it_states_fails(bench: Bench) -> None:
    bench.copy_model("onnx")
    written_set(bench.folder / "set.npz", 90)
    settings = bench.folder / "tiny.toml"
    settings.write_text(SETTINGS.format(value=90))
    asked = ("accuracy", "tiny.onnx", "--dataset", "set.npz", "--backends", "onnxruntime")
    (row,) = bench.rows(*asked, expect=1)
    found = row["evaluation"]
    assert (row["verdict"], row["asked"], row["median_ms"]) == ("valid", ["accuracy"], None)
    assert (found["reference"], found["threshold"]) == (90, 2)
    assert found["drop"] == 90 - found["value"] > 20
    assert "points below the reference of 90" in found["check"]

    settings.write_text(SETTINGS.format(value=found["value"] + 1))
    (row,) = bench.rows(*asked)
    assert row["evaluation"]["check"] == ""
    (timed,) = bench.rows("run", "-m", "tiny.onnx", "--backends", "onnxruntime", "--accuracy", "none")
    assert (timed["case_id"], timed["evaluation"]) == (row["case_id"], None)
    (joined,) = bench.rows("results", "list")
    assert (joined["median_ms"], joined["evaluation"]) == (timed["median_ms"], row["evaluation"])
    assert f"its accuracy was measured in run {row['run']}" in joined["notes"]


SCALE, ZERO = 0.018, -7
FEATURES = SIZE * SIZE * 3


def int8_onnx(path: Path, weights: NDArray[np.int8]) -> None:
    """Classes of a flattened int8 image, (1, 3, 64, 64)."""
    constants = {
        "s": np.float32(SCALE), "z": np.int8(ZERO), "w": weights.T.copy(), "ws": np.float32(0.01), "wz": np.int8(0),
        "ys": np.float32(4), "yz": np.int8(3),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        helper.make_node("Flatten", ["xf"], ["flat"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        helper.make_node("MatMul", ["flat", "wf"], ["yf"]),
        helper.make_node("QuantizeLinear", ["yf", "ys", "yz"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info("x", TensorProto.INT8, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [1, CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def int8_tflite(path: Path, weights: NDArray[np.int8]) -> None:
    """The same of an image (1, 64, 64, 3)."""
    made = Builder(np.random.default_rng(0))
    image = made.tensor("x", "int8", [1, SIZE, SIZE, 3], scale=SCALE, zero=ZERO)
    flat = made.tensor("flat", "int8", [1, FEATURES], scale=SCALE, zero=ZERO)
    made.op("RESHAPE", [image, made.tensor("shape", "int32", [2], np.array([1, FEATURES]))], [flat])
    kernel = made.tensor("w", "int8", [CLASSES, FEATURES], weights, scale=0.01)
    scores = made.tensor("y", "int8", [1, CLASSES], scale=4.0, zero=3)
    made.op("FULLY_CONNECTED", [flat, kernel, -1], [scores], options("FullyConnectedOptions"))
    made.ends([image], [scores])
    path.write_bytes(made.bytes())


def right_bare(path: Path, labels: NDArray[np.int64]) -> int:
    """How many images of the set a runtime alone gets right; among equal scores the first class counts."""
    normalized = (images(len(labels)).astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    fed = np.clip(np.round(normalized / np.float32(SCALE)) + ZERO, -128, 127).astype(np.int8)
    if path.suffix == ".onnx":
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        scores = [session.run(None, {"x": np.ascontiguousarray(image.transpose(2, 0, 1)[None])})[0] for image in fed]
    else:
        runner, scores = Interpreter(str(path), num_threads=1), []
        runner.allocate_tensors()
        for image in fed:
            runner.set_tensor(runner.get_input_details()[0]["index"], image[None])
            runner.invoke()
            scores.append(runner.get_tensor(runner.get_output_details()[0]["index"]))
    return int((np.concatenate(scores).argmax(axis=1) == labels).sum())


@pytest.mark.parametrize(("kind", "write"), [("onnx", int8_onnx), ("tflite", int8_tflite)])
def test_an_own_int8_model_counts_as_its_bare_runtime_does(bench: Bench, kind: str, write: Any) -> None:
    path = bench.folder / f"own.{kind}"
    write(path, np.random.default_rng(3).integers(-127, 128, (CLASSES, FEATURES)).astype(np.int8))
    path.with_suffix(".toml").write_text(SETTINGS.partition("[accuracy]")[0])
    labels = np.load(written_set(bench.folder / "set.npz", 200))["labels"]
    backends = ("--backends", {"onnx": "onnxruntime", "tflite": "tflite"}[kind])
    (row,) = bench.rows("accuracy", path.name, "--dataset", "set.npz", *backends)
    right = right_bare(path, labels)
    assert 0 < right < len(labels)
    found = row["evaluation"]
    assert (row["verdict"], found["samples"], found["value"]) == ("valid", 200, pytest.approx(right / 2))
