"""Small ONNX files as users bring them, each in the shape of a public report. `write(folder)` makes them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as Type
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

Make = Callable[[np.random.Generator], onnx.ModelProto]
MAKERS: dict[str, Make] = {}


def case(make: Make) -> Make:
    MAKERS[make.__name__] = make
    return make


def write(folder: Path, *names: str) -> list[Path]:
    """Write them, or those of the names; the same bytes whichever are asked for."""
    paths = []
    for name in names or MAKERS:
        paths.append(folder / f"{name}.onnx")
        paths[-1].write_bytes(MAKERS[name](np.random.default_rng(7)).SerializeToString())
    return paths


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    domains: Sequence[onnx.OperatorSetIdProto] = (),
) -> onnx.ModelProto:
    graph = make_graph(nodes, "graph", inputs, outputs, weights)
    return make_model(graph, opset_imports=[make_opsetid("", 17), *domains], ir_version=9)


value = make_tensor_value_info


def tensor(name: str, array: np.ndarray | np.generic) -> onnx.TensorProto:
    return from_array(np.asarray(array), name)


def normal(rng: np.random.Generator, *shape: int, scale: float = 0.1) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


@case
def ids_in_tiny_table(rng):
    """A recommender: ids into tables of 100 rows and of one; a made-up id of 1 is out of range."""
    nodes = [
        make_node("Gather", ["big", "item_id"], ["a"]),
        make_node("Gather", ["small", "country_id"], ["b"]),
        make_node("Concat", ["a", "b"], ["c"], axis=2),
        make_node("MatMul", ["c", "w"], ["score"]),
    ]
    return model(
        nodes,
        [value("item_id", Type.INT64, [1, 79]), value("country_id", Type.INT64, [1, 79])],
        [value("score", Type.FLOAT, [1, 79, 1])],
        [
            tensor("big", normal(rng, 100, 16)),
            tensor("small", normal(rng, 1, 16)),
            tensor("w", normal(rng, 32, 1)),
        ],
    )


@case
def all_nan(rng):
    """Every output is NaN, as of an fp16 network that overflows."""
    nodes = [
        make_node("MatMul", ["x", "w"], ["m"]),
        make_node("Abs", ["m"], ["p"]),
        make_node("Neg", ["p"], ["n"]),
        make_node("Sqrt", ["n"], ["s"]),
        make_node("Softmax", ["s"], ["y"]),
    ]
    weights = [tensor("w", normal(rng, 16, 16, scale=1))]
    return model(nodes, [value("x", Type.FLOAT, [1, 16])], [value("y", Type.FLOAT, [1, 16])], weights)


@case
def fp16_io(rng):
    """fp16 weights, input and output: on a CPU, runtimes insert casts and compute in fp32."""
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["c"], ["r"]),
        make_node("GlobalAveragePool", ["r"], ["y"]),
    ]
    weights = [tensor("w", normal(rng, 16, 3, 3, 3).astype(np.float16))]
    inputs, outputs = [value("x", Type.FLOAT16, [1, 3, 32, 32])], [value("y", Type.FLOAT16, [1, 16, 1, 1])]
    return model(nodes, inputs, outputs, weights)


def _qdq(rng, *, in_nodes: bool):
    weights = [
        tensor("xs", np.float32(0.02)),
        tensor("xz", np.uint8(128)),
        tensor("w", rng.integers(-127, 128, (32, 3, 3, 3)).astype(np.int8)),
        tensor("ws", np.full(32, 0.004, np.float32)),
        tensor("wz", np.zeros(32, np.int8)),
        tensor("ys", np.float32(0.02)),
        tensor("yz", np.uint8(0)),
    ]
    nodes = [
        make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        make_node("Conv", ["xd", "wd"], ["c"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["c"], ["r"]),
        make_node("QuantizeLinear", ["r", "ys", "yz"], ["rq"]),
        make_node("DequantizeLinear", ["rq", "ys", "yz"], ["rd"]),
        make_node("GlobalAveragePool", ["rd"], ["y"]),
    ]
    if in_nodes:
        nodes = [make_node("Constant", [], [one.name], value=one) for one in weights] + nodes
        weights = []
    return model(nodes, [value("x", Type.FLOAT, [1, 3, 32, 32])], [value("y", Type.FLOAT, [1, 32, 1, 1])], weights)


@case
def qdq_initializers(rng):
    """An int8 QDQ network, its weights as initializers."""
    return _qdq(rng, in_nodes=False)


@case
def qdq_constants(rng):
    """The same with its weights in Constant nodes."""
    return _qdq(rng, in_nodes=True)


@case
def int8_network(rng):
    """QOperator layers with a uint8 output: runtimes round differently, some elements are a step apart."""
    nodes, weights = [], [tensor("xs", np.float32(0.0078)), tensor("xz", np.uint8(128)), tensor("wz", np.int8(0))]
    at, scale, zero, channels = "x", "xs", "xz", 3
    for n, after in enumerate((16, 24)):
        weights += [
            tensor(f"w{n}", rng.integers(-127, 128, (after, channels, 3, 3)).astype(np.int8)),
            tensor(f"ws{n}", np.float32(0.004)),
            tensor(f"ys{n}", np.float32(0.031 + 0.003 * n)),
            tensor(f"yz{n}", np.uint8(121 + n)),
        ]
        inputs = [at, scale, zero, f"w{n}", f"ws{n}", "wz", f"ys{n}", f"yz{n}"]
        nodes.append(make_node("QLinearConv", inputs, [f"y{n}"], pads=[1, 1, 1, 1]))
        at, scale, zero, channels = f"y{n}", f"ys{n}", f"yz{n}", after
    nodes.append(make_node("Identity", [at], ["y"]))
    inputs, outputs = [value("x", Type.UINT8, [1, 3, 32, 32])], [value("y", Type.UINT8, [1, 24, 32, 32])]
    return model(nodes, inputs, outputs, weights)


@case
def int4_weights(rng):
    """64 x 64 weights of 4 bits, two in a byte."""
    weights = [
        tensor("b", rng.integers(0, 256, (64, 2, 16)).astype(np.uint8)),
        tensor("s", np.full(128, 0.01, np.float32)),
    ]
    node = make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", K=64, N=64, bits=4, block_size=32)
    inputs, outputs = [value("x", Type.FLOAT, [1, 64])], [value("y", Type.FLOAT, [1, 64])]
    return model([node], inputs, outputs, weights, [make_opsetid("com.microsoft", 1)])


@case
def weights_in_constants(rng):
    """fp32 weights in a Constant node, as some exporters write them."""
    nodes = [
        make_node("Constant", [], ["w"], value=tensor("w", normal(rng, 64, 64))),
        make_node("MatMul", ["x", "w"], ["y"]),
    ]
    return model(nodes, [value("x", Type.FLOAT, [1, 64])], [value("y", Type.FLOAT, [1, 64])])


@case
def tiny_outputs(rng):
    """A detector's map on a picture without any: all near 0, and right to a float's last bits."""
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        make_node("Relu", ["c"], ["r"]),
        make_node("Conv", ["r", "w2", "b2"], ["d"]),
        make_node("Sigmoid", ["d"], ["y"]),
    ]
    weights = [
        tensor("w", normal(rng, 16, 3, 3, 3)),
        tensor("w2", normal(rng, 1, 16, 1, 1)),
        tensor("b2", np.array([-12.5], np.float32)),
    ]
    return model(nodes, [value("x", Type.FLOAT, [1, 3, 96, 96])], [value("y", Type.FLOAT, [1, 1, 96, 96])], weights)


@case
def question_mark_dims(rng):
    """Height and width both have the symbol "?": it says unknown, not that they are equal."""
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("GlobalAveragePool", ["c"], ["y"])]
    inputs, outputs = [value("x", Type.FLOAT, ["-1", 3, "?", "?"])], [value("y", Type.FLOAT, ["-1", 4, 1, 1])]
    return model(nodes, inputs, outputs, [tensor("w", normal(rng, 4, 3, 3, 3))])


@case
def sequence_first(rng):
    """The first dynamic dimension is a sequence and no batch."""
    nodes = [make_node("MatMul", ["x", "w"], ["m"]), make_node("ReduceMean", ["m"], ["y"], keepdims=0)]
    inputs, outputs = [value("x", Type.FLOAT, ["seq_len", 256])], [value("y", Type.FLOAT, [])]
    return model(nodes, inputs, outputs, [tensor("w", normal(rng, 256, 256))])


@case
def empty_past(rng):
    """A decoder's step, whose cache may be empty: `past_len` of 0."""
    nodes = [
        make_node("Concat", ["past", "x"], ["present"], axis=2),
        make_node("ReduceMean", ["present"], ["y"], keepdims=0),
    ]
    return model(
        nodes,
        [
            value("past", Type.FLOAT, ["batch", 2, "past_len", 8]),
            value("x", Type.FLOAT, ["batch", 2, "new_len", 8]),
        ],
        [value("y", Type.FLOAT, []), value("present", Type.FLOAT, ["batch", 2, "total", 8])],
    )


@case
def random_output(rng):
    """Dropout left in training mode: another output on every run."""
    weights = [tensor("ratio", np.float32(0.5)), tensor("train", np.bool_(True))]
    node = make_node("Dropout", ["x", "ratio", "train"], ["y"])
    return model([node], [value("x", Type.FLOAT, [1, 64])], [value("y", Type.FLOAT, [1, 64])], weights)


@case
def five_d(rng):
    """A network over volumes: NCDHW."""
    nodes = [make_node("Conv", ["x", "w"], ["c"], pads=[1] * 6), make_node("GlobalAveragePool", ["c"], ["y"])]
    inputs, outputs = [value("x", Type.FLOAT, [1, 1, 16, 16, 16])], [value("y", Type.FLOAT, [1, 4, 1, 1, 1])]
    return model(nodes, inputs, outputs, [tensor("w", normal(rng, 4, 1, 3, 3, 3))])


@case
def loop_by_input(rng):
    """A Loop that turns as often as an input says: what is fed decides the latency."""
    body = make_graph(
        [make_node("MatMul", ["h_in", "w"], ["h_out"]), make_node("Identity", ["c_in"], ["c_out"])],
        "body",
        [value("i", Type.INT64, []), value("c_in", Type.BOOL, []), value("h_in", Type.FLOAT, [1, 64])],
        [value("c_out", Type.BOOL, []), value("h_out", Type.FLOAT, [1, 64])],
    )
    return model(
        [make_node("Loop", ["max_len", "", "h"], ["y"], body=body)],
        [value("max_len", Type.INT64, []), value("h", Type.FLOAT, [1, 64])],
        [value("y", Type.FLOAT, [1, 64])],
        [tensor("w", normal(rng, 64, 64))],
    )


@case
def same_symbol_other_size(rng):
    """One symbol for two sizes, of exporters that give every dynamic axis one name: ONNX Runtime only warns."""
    nodes = [
        make_node("ReduceMean", ["a"], ["ma"], keepdims=0),
        make_node("ReduceMean", ["b"], ["mb"], keepdims=0),
        make_node("Add", ["ma", "mb"], ["y"]),
    ]
    inputs = [value("a", Type.FLOAT, ["dynamic", 4]), value("b", Type.FLOAT, ["dynamic", 4])]
    return model(nodes, inputs, [value("y", Type.FLOAT, [])])


@case
def big_constant_fold(rng):
    """198 bytes that fold into 200 MB when the graph is optimized."""
    nodes = [
        make_node("ConstantOfShape", ["s"], ["z"], value=tensor("one", np.array([1], np.float32))),
        make_node("ReduceMean", ["z"], ["m"], keepdims=0),
        make_node("Add", ["x", "m"], ["y"]),
    ]
    weights = [tensor("s", np.array([50, 1024, 1024], np.int64))]
    return model(nodes, [value("x", Type.FLOAT, [1, 8])], [value("y", Type.FLOAT, [1, 8])], weights)
