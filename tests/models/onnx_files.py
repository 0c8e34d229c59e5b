"""Small ONNX and TFLite files of every kind a user may bring, written with onnx.helper."""

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF, INT64, BOOL, STRING = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
)


def value(name, kind=FLOAT, shape=(1, 4)):
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name, shape, dtype=np.float32):
    array = np.random.default_rng(len(name)).standard_normal(shape).astype(dtype)
    return numpy_helper.from_array(array, name)


def write(path: Path, nodes, inputs, outputs, initializers=(), opset=18, ir=10, **more) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers), **more)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    path.write_bytes(model.SerializeToString())
    return path


def static(path, opset=18, ir=10):
    """y = x @ w: one float input of a fixed shape, 4 * 3 weights."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return write(path, nodes, [value("x")], [value("y", shape=(1, 3))], [weight("w", (4, 3))], opset, ir)


def old(path):
    """Opset 7 and IR 3: the weights are listed among the inputs."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    inputs = [value("x"), value("w", shape=(4, 3))]
    return write(path, nodes, inputs, [value("y", shape=(1, 3))], [weight("w", (4, 3))], opset=7, ir=3)


def image(path, height="h", width="w"):
    """A convolution over an NCHW picture; its declared output is one that only fits 8 x 8."""
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"], pads=[1, 1, 1, 1])]
    inputs = [value("x", shape=("n", 3, height, width))]
    return write(path, nodes, inputs, [value("y", shape=(1, 2, 8, 8))], [weight("k", (2, 3, 3, 3))])


def text(path):
    """Two int64 inputs that share a dynamic length, as a text model has: ids into an embedding, times a mask."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axes"], ["wide"]),
        helper.make_node("Mul", ["rows", "wide"], ["y"]),
    ]
    inputs = [value("input_ids", INT64, ("batch", "seq")), value("attention_mask", INT64, ("batch", "seq"))]
    axes = numpy_helper.from_array(np.array([2], np.int64), "axes")
    outputs = [value("y", shape=("batch", "seq", 5))]
    return write(path, nodes, inputs, outputs, [weight("table", (10, 5)), axes])


def batch(path):
    """Only the first dimension is dynamic."""
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return write(path, nodes, [value("x", shape=("N", 4))], [value("y", shape=("N", 4))])


def typed(path, kind, operator="Identity"):
    """One input of an element type, passed through."""
    nodes = [helper.make_node(operator, ["x"], ["y"])]
    return write(path, nodes, [value("x", kind)], [value("y", kind)])


def half(path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = [weight("w", (4, 3), np.float16)]
    return write(path, nodes, [value("x", HALF)], [value("y", HALF, (1, 3))], weights)


def rankless(path):
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return write(path, nodes, [value("x", shape=None)], [value("y", shape=None)])


def sequence(path):
    nodes = [helper.make_node("SequenceAt", ["x", "i"], ["y"])]
    inputs = [helper.make_tensor_sequence_value_info("x", FLOAT, (1, 4)), value("i", INT64, ())]
    return write(path, nodes, inputs, [value("y")])


def sequence_out(path):
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["y"])]
    return write(path, nodes, [value("x")], [helper.make_tensor_sequence_value_info("y", FLOAT, (1, 4))])


def cast_out(path, kind):
    """An output of an element type that need not have an array."""
    nodes = [helper.make_node("Cast", ["x"], ["y"], to=kind)]
    return write(path, nodes, [value("x")], [value("y", kind)])


def output_twice(path):
    return write(path, [helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y"), value("y")])


def endless(path):
    """A loop that no patience outlasts."""
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "x"], ["sum"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("i", INT64, ()), value("go", BOOL, ()), value("v")],
        [value("on", BOOL, ()), value("sum")],
    )
    constants = [numpy_helper.from_array(np.int64(2**62), "count"), numpy_helper.from_array(np.array(True), "true")]
    nodes = [helper.make_node("Loop", ["count", "true", "x"], ["y"], body=body)]
    return write(path, nodes, [value("x")], [value("y")], constants)


def greedy(path, elements=2**30):
    """Fills `elements` floats and sums them."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["ones"], value=helper.make_tensor("v", FLOAT, [1], [1.0])),
        helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    size = numpy_helper.from_array(np.array([elements], dtype=np.int64), "size")
    return write(path, nodes, [value("x")], [value("y")], [size])


def tiny_table(path, rows=1):
    """Ids into a table of one row: the made-up id of 1 is out of range."""
    nodes = [helper.make_node("Gather", ["table", "country_id"], ["y"])]
    inputs = [value("country_id", INT64, (1, 3))]
    return write(path, nodes, inputs, [value("y", shape=(1, 3, 4))], [weight("table", (rows, 4))])


def empty_table(path):
    """Ids into a table without rows."""
    return tiny_table(path, rows=0)


def random(path):
    nodes = [helper.make_node("RandomNormalLike", ["x"], ["noise"]), helper.make_node("Add", ["x", "noise"], ["y"])]
    return write(path, nodes, [value("x")], [value("y")])


def custom(path):
    """A node of a domain that no runtime here knows."""
    graph = helper.make_graph(
        [helper.make_node("Magic", ["x"], ["y"], domain="acme")], "graph", [value("x")], [value("y")]
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("acme", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=sets, ir_version=10).SerializeToString())
    return path


def contradictory(path):
    """A product of matrices that do not fit."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return write(path, nodes, [value("x")], [value("y", shape=(1, 3))], [weight("w", (5, 3))])


def outputless(path):
    return write(path, [helper.make_node("Relu", ["x"], ["y"])], [value("x")], [])


def quantized(path):
    """QDQ: int8 weights behind DequantizeLinear."""
    scale = numpy_helper.from_array(np.float32(0.1), "scale")
    zero = numpy_helper.from_array(np.int8(0), "zero")
    integers = numpy_helper.from_array(np.arange(12, dtype=np.int8).reshape(4, 3), "w")
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wf"]),
        helper.make_node("MatMul", ["x", "wf"], ["y"]),
    ]
    return write(path, nodes, [value("x")], [value("y", shape=(1, 3))], [integers, scale, zero])


def branching(path):
    """An If whose branches hold weights of their own."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w_{name}"], [f"y_{name}"])],
            name,
            [],
            [value(f"y_{name}", shape=("N", 3))],
            [weight(f"w_{name}", (4, 3))],
        )
        for name in ("then", "else")
    }
    nodes = [helper.make_node("If", ["flag"], ["y"], **branches)]
    return write(path, nodes, [value("x", shape=("N", 4)), value("flag", BOOL, ())], [value("y", shape=("N", 3))])


def external(path, location="weights.bin"):
    """`static`, with the weights in a file beside it, or wherever `location` points, where the caller puts them."""
    model = onnx.load_model_from_string(static(path).read_bytes())
    tensor = model.graph.initializer[0]
    data = tensor.raw_data
    if location == "weights.bin":
        (path.parent / location).write_bytes(b"\0" * 16 + data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, entry in (("location", location), ("offset", "16"), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=entry)
    path.write_bytes(model.SerializeToString())
    return path


def two_sizes(path):
    """One symbol for two sizes. ONNX Runtime puts both into one piece of memory, which fails when it runs."""
    nodes = [
        helper.make_node("Exp", ["a"], ["a1"]),
        helper.make_node("ReduceMean", ["a1"], ["mean"], keepdims=0),
        helper.make_node("Add", ["b", "mean"], ["b1"]),
        helper.make_node("ReduceMean", ["b1"], ["y"], keepdims=0),
    ]
    inputs = [value("a", shape=("N", 4)), value("b", shape=("N", 4))]
    return write(path, nodes, inputs, [value("y", shape=())])


def branch_by_value(path):
    """A branch is chosen by what is fed; the size that goes with one contradicts the weights of the other."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w_{name}"], [f"y_{name}"])],
            name,
            [],
            [value(f"y_{name}", shape=("batch", 3))],
            [weight(f"w_{name}", (size, 3))],
        )
        for name, size in (("then", 512), ("else", 256))
    }
    nodes = [
        helper.make_node("Equal", ["rate", "wide"], ["is_wide"]),
        helper.make_node("If", ["is_wide"], ["y"], **branches),
    ]
    inputs = [value("x", shape=("batch", "n")), value("rate", INT64, ())]
    wide = numpy_helper.from_array(np.int64(16000), "wide")
    return write(path, nodes, inputs, [value("y", shape=("batch", 3))], [wide])


def misdeclared(path):
    """As many rows as are not 0, which the file says are 10."""
    nodes = [helper.make_node("NonZero", ["x"], ["where"]), helper.make_node("Transpose", ["where"], ["y"])]
    return write(path, nodes, [value("x")], [value("y", INT64, (10, 2))])


def huge(path):
    """2 GiB of zeros as external data, of which rows are looked up, and a matrix; the file of them holds nothing."""
    rows, columns = 2**20, 512
    big = TensorProto(name="big", data_type=FLOAT, dims=[rows, columns], data_location=TensorProto.EXTERNAL)
    w = TensorProto(name="w", data_type=FLOAT, dims=[columns, columns], data_location=TensorProto.EXTERNAL)
    offset = 0
    for tensor in (big, w):
        length = 4 * int(np.prod(tensor.dims))
        for key, entry in (("location", f"{path.name}_data"), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(entry))
        offset += length
    with (path.parent / f"{path.name}_data").open("wb") as data:
        data.truncate(offset)
        data.seek(-8, os.SEEK_END)
        data.write(np.ones(2, np.float32).tobytes())
    nodes = [helper.make_node("Gather", ["big", "ids"], ["rows"]), helper.make_node("MatMul", ["rows", "w"], ["y"])]
    outputs = [value("y", shape=("batch", 4, columns))]
    return write(path, nodes, [value("ids", INT64, ("batch", 4))], outputs, [big, w])


def tflite(path, signature=(1, 4), kind="FLOAT32", custom=None):
    """x + w in TFLite, with `signature` as the input's shape (-1: dynamic) and 4 weights."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name, shape, buffer, element="FLOAT32"):
        made = schema.TensorT()
        made.name, made.buffer, made.type = name.encode(), buffer, getattr(schema.TensorType, element)
        made.shape, made.shapeSignature = [max(1, size) for size in shape], list(shape)
        return made

    code = schema.OperatorCodeT()
    code.version, code.builtinCode = 1, schema.BuiltinOperator.CUSTOM if custom else schema.BuiltinOperator.ADD
    code.deprecatedBuiltinCode, code.customCode = min(127, code.builtinCode), custom
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    if not custom:
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph = schema.SubGraphT()
    graph.tensors = [tensor("x", signature, 0, kind), tensor("w", (4,), 1), tensor("y", signature, 0)]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    weights = schema.BufferT()
    weights.data = list(np.arange(4, dtype=np.float32).tobytes())
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT(), weights]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
