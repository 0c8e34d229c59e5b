"""Files that ask for what a runtime does not have: each sound by itself, or of a later version than is known today."""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from tests.models.onnx_files import FLOAT, STRING, value, weight


def _onnx(path: Path, nodes, inputs, outputs, initializers=(), sets=(("", 18),), ir=10) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*entry) for entry in sets], ir_version=ir)
    path.write_bytes(model.SerializeToString())
    return path


def unknown_operator(path: Path) -> Path:
    return _onnx(path, [helper.make_node("Magic", ["x"], ["y"])], [value("x")], [value("y")])


def unknown_domain(path: Path) -> Path:
    nodes = [helper.make_node("Magic", ["x"], ["y"], domain="acme")]
    return _onnx(path, nodes, [value("x")], [value("y")], sets=(("", 18), ("acme", 1)))


def contrib_operator_of_tomorrow(path: Path) -> Path:
    nodes = [helper.make_node("Magic", ["x"], ["y"], domain="com.microsoft")]
    return _onnx(path, nodes, [value("x")], [value("y")], sets=(("", 18), ("com.microsoft", 1)))


def new_opset(path: Path) -> Path:
    return _onnx(path, [helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")], sets=(("", 99),))


def new_ir(path: Path) -> Path:
    return _onnx(path, [helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")], ir=99)


def bfloat16(path: Path) -> Path:
    """Computes in a type for which a CPU has no kernel of this operator."""
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=TensorProto.BFLOAT16),
        helper.make_node("Elu", ["b"], ["e"]),
        helper.make_node("Cast", ["e"], ["y"], to=FLOAT),
    ]
    return _onnx(path, nodes, [value("x")], [value("y")])


def float8(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=TensorProto.FLOAT8E4M3FN),
        helper.make_node("Cast", ["b"], ["y"], to=FLOAT),
    ]
    return _onnx(path, nodes, [value("x")], [value("y")], sets=(("", 19),))


def complex_inside(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.COMPLEX64),
        helper.make_node("Abs", ["c"], ["y"]),
    ]
    return _onnx(path, nodes, [value("x")], [value("y")])


def string_inside(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["s"], to=STRING),
        helper.make_node("Equal", ["s", "word"], ["e"]),
        helper.make_node("Cast", ["e"], ["y"], to=FLOAT),
    ]
    word = helper.make_tensor("word", STRING, [1], [b"1"])
    return _onnx(path, nodes, [value("x")], [value("y")], [word], sets=(("", 19),))


def sequence_inside(path: Path) -> Path:
    nodes = [
        helper.make_node("SequenceConstruct", ["x", "x"], ["s"]),
        helper.make_node("SequenceAt", ["s", "i"], ["y"]),
    ]
    return _onnx(path, nodes, [value("x")], [value("y")], [numpy_helper.from_array(np.int64(0), "i")])


def optional_inside(path: Path) -> Path:
    nodes = [helper.make_node("Optional", ["x"], ["o"]), helper.make_node("OptionalGetElement", ["o"], ["y"])]
    return _onnx(path, nodes, [value("x")], [value("y")])


def rank_nine(path: Path) -> Path:
    """More dimensions than some kernels take."""
    shape = (1, 1, 1, 1, 1, 1, 1, 2, 2)
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    made = [value("x", shape=(1, 1, *shape[2:])), value("y", shape=None)]
    return _onnx(path, nodes, [made[0]], [made[1]], [weight("w", (1, 1, *([1] * 7)))])


def deform_conv(path: Path) -> Path:
    nodes = [helper.make_node("DeformConv", ["x", "w", "o"], ["y"])]
    inputs = [value("x", shape=(1, 1, 5, 5)), value("o", shape=(1, 18, 3, 3))]
    return _onnx(path, nodes, inputs, [value("y", shape=(1, 1, 3, 3))], [weight("w", (1, 1, 3, 3))], sets=(("", 19),))


def double_conv(path: Path) -> Path:
    kind = TensorProto.DOUBLE
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    inputs = [value("x", kind, (1, 3, 8, 8))]
    return _onnx(path, nodes, inputs, [value("y", kind, (1, 2, 6, 6))], [weight("w", (2, 3, 3, 3), np.float64)])


def int_conv(path: Path) -> Path:
    """The specification knows no Conv of integers; a runtime may."""
    kind = TensorProto.INT32
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    inputs = [value("x", kind, (1, 3, 8, 8))]
    return _onnx(path, nodes, inputs, [value("y", kind, (1, 2, 6, 6))], [weight("w", (2, 3, 3, 3), np.int32)])


def int16_relu(path: Path) -> Path:
    """Allowed by the specification; a kernel is not there everywhere."""
    kind = TensorProto.INT16
    return _onnx(path, [helper.make_node("Relu", ["x"], ["y"])], [value("x", kind)], [value("y", kind)])


def string_split(path: Path) -> Path:
    """Text is split into words: an operator on strings alone."""
    nodes = [
        helper.make_node("StringSplit", ["word"], ["s", "n"]),
        helper.make_node("Cast", ["n"], ["f"], to=FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    word = helper.make_tensor("word", STRING, [1], [b"a b"])
    return _onnx(path, nodes, [value("x")], [value("y")], [word], sets=(("", 20),))


def training(path: Path) -> Path:
    nodes = [helper.make_node("Gradient", ["x", "y"], ["g"], domain="ai.onnx.preview.training", xs=["x"], y="y")]
    nodes.insert(0, helper.make_node("Relu", ["x"], ["y"]))
    return _onnx(path, nodes, [value("x")], [value("g")], sets=(("", 18), ("ai.onnx.preview.training", 1)))


def tree(path: Path) -> Path:
    """A random forest of one tree, as scikit-learn's are exported (ai.onnx.ml)."""
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
            nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
            nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[0.5, 0.0, 0.0],
            nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
            target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0],
        )
    ]  # fmt: skip
    return _onnx(path, nodes, [value("x")], [value("y", shape=(1, 1))], sets=(("", 18), ("ai.onnx.ml", 3)))


def cubic_resize(path: Path) -> Path:
    """Found out in the first inference only."""
    scales = numpy_helper.from_array(np.float32([1, 1, 2, 2, 2]), "scales")
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="cubic")]
    return _onnx(path, nodes, [value("x", shape=(1, 1, 4, 4, 4))], [value("y", shape=(1, 1, 8, 8, 8))], [scales])


def text_in(path: Path) -> Path:
    nodes = [helper.make_node("StringNormalizer", ["x"], ["y"])]
    return _onnx(path, nodes, [value("x", STRING, (1,))], [value("y", STRING, (1,))])


def optional_in(path: Path) -> Path:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, (1, 4)))
    nodes = [helper.make_node("OptionalGetElement", ["x"], ["y"])]
    return _onnx(path, nodes, [helper.make_value_info("x", kind)], [value("y")])


ONNX = (
    unknown_operator, unknown_domain, contrib_operator_of_tomorrow, new_opset, new_ir, bfloat16, float8,
    complex_inside, string_inside, sequence_inside, optional_inside, rank_nine, deform_conv, double_conv, int_conv,
    int16_relu, string_split, training, tree, cubic_resize,
)  # fmt: skip


class Graph:
    """A TFLite file of one operator after the other; `tensor` and `op` add to it."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.model = schema.ModelT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]

    def tensor(self, name: str, kind: str, shape: tuple[int, ...], data: Any = None) -> int:
        made = schema.TensorT()
        made.name, made.type = name.encode(), getattr(schema.TensorType, kind)
        made.shape, made.hasRank, made.buffer = list(shape), True, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = list(np.asarray(data).tobytes())
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def op(self, builtin: str | int, inputs, outputs, options=None, custom: bytes | None = None, version=1) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, builtin) if isinstance(builtin, str) else builtin
        code.deprecatedBuiltinCode, code.version, code.customCode = min(127, code.builtinCode), version, custom
        self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = len(self.model.operatorCodes) - 1, list(inputs)
        operator.outputs = list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        self.graph.operators.append(operator)

    def write(self, path: Path, inputs, outputs) -> Path:
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def _unary(path: Path, builtin, kind="FLOAT32", shape=(1, 4), out=None, **more) -> Path:
    graph = Graph()
    x, y = graph.tensor("x", kind, shape), graph.tensor("y", out or kind, shape)
    graph.op(builtin, [x], [y], **more)
    return graph.write(path, [x], [y])


def operator_of_tomorrow(path: Path) -> Path:
    return _unary(path, 999)


def version_of_tomorrow(path: Path) -> Path:
    return _unary(path, "RELU", version=99)


def custom(path: Path) -> Path:
    return _unary(path, "CUSTOM", custom=b"Magic")


def flex(path: Path) -> Path:
    return _unary(path, "CUSTOM", custom=b"FlexErf")


def type_without_kernel(path: Path) -> Path:
    """An operator that is there, of a type that its kernel does not take."""
    return _unary(path, "RELU", kind="INT64")


def ceil_of_integers(path: Path) -> Path:
    return _unary(path, "CEIL", kind="INT32")


def floor_of_integers(path: Path) -> Path:
    return _unary(path, "FLOOR", kind="INT32")


def absolute_of_booleans(path: Path) -> Path:
    return _unary(path, "ABS", kind="BOOL")


def gelu_of_integers(path: Path) -> Path:
    return _unary(path, "GELU", kind="INT32")


def negative_of_bytes(path: Path) -> Path:
    return _unary(path, "NEG", kind="UINT8")


def _binary(path: Path, builtin: str, kind: str, out: str) -> Path:
    graph = Graph()
    a, b = graph.tensor("a", kind, (1, 4)), graph.tensor("b", kind, (1, 4))
    y = graph.tensor("y", out, (1, 4))
    graph.op(builtin, [a, b], [y])
    return graph.write(path, [a, b], [y])


def greater_of_doubles(path: Path) -> Path:
    return _binary(path, "GREATER", "FLOAT64", "BOOL")


def logical_of_floats(path: Path) -> Path:
    return _binary(path, "LOGICAL_AND", "FLOAT32", "BOOL")


def tflite_complex(path: Path) -> Path:
    graph = Graph()
    x, c = graph.tensor("x", "FLOAT32", (1, 4)), graph.tensor("c", "COMPLEX64", (1, 3))
    size, y = graph.tensor("n", "INT32", (2,), np.array([1, 4], np.int32)), graph.tensor("y", "FLOAT32", (1, 3))
    graph.op("RFFT2D", [x, size], [c], schema.Rfft2dOptionsT())
    graph.op("REAL", [c], [y])
    return graph.write(path, [x], [y])


def tflite_resource(path: Path) -> Path:
    """State kept between inferences by a variable, as streaming models do."""
    graph = Graph()
    x, handle = graph.tensor("x", "FLOAT32", (1, 4)), graph.tensor("handle", "RESOURCE", ())
    y = graph.tensor("y", "FLOAT32", (1, 4))
    options = schema.VarHandleOptionsT()
    options.sharedName, options.container = b"state", b""
    graph.op("VAR_HANDLE", [], [handle], options)
    graph.op("ASSIGN_VARIABLE", [handle, x], [], schema.AssignVariableOptionsT())
    graph.op("READ_VARIABLE", [handle], [y], schema.ReadVariableOptionsT())
    return graph.write(path, [x], [y])


def type_of_tomorrow(path: Path) -> Path:
    """A tensor of a type whose number nobody knows, behind an operator that is there."""
    graph = Graph()
    x, y = graph.tensor("x", "FLOAT32", (1, 4)), graph.tensor("y", "FLOAT32", (1, 4))
    graph.graph.tensors[y].type = 99
    graph.op("RELU", [x], [y])
    return graph.write(path, [x], [y])


def tflite_text(path: Path) -> Path:
    return _unary(path, "RESHAPE", kind="STRING", out="STRING")


def rank_seven(path: Path) -> Path:
    """XNNPACK takes it and cannot prepare it; the built-in kernels can."""
    graph = Graph()
    x = graph.tensor("x", "FLOAT32", (1, 1, 1, 1, 1, 1, 6))
    w = graph.tensor("w", "FLOAT32", (1, 6), np.ones((1, 6), np.float32))
    y = graph.tensor("y", "FLOAT32", (1, 1, 1, 1, 1, 1, 1))
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = True
    graph.op("FULLY_CONNECTED", [x, w, -1], [y], options, version=5)
    return graph.write(path, [x], [y])


def stablehlo(path: Path) -> Path:
    return _unary(path, "STABLEHLO_CBRT")


TFLITE = (
    operator_of_tomorrow, version_of_tomorrow, custom, flex, type_without_kernel, tflite_complex,
    ceil_of_integers, floor_of_integers,
    negative_of_bytes, greater_of_doubles, logical_of_floats, absolute_of_booleans, gelu_of_integers, tflite_resource,
    tflite_text, rank_seven, stablehlo, type_of_tomorrow,
)  # fmt: skip
