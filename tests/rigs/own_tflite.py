"""Small TFLite files as users bring them, each in the shape of a public report. `write(folder)` makes them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

KINDS = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "string": 5,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "resource": 13,
}


class Builder:
    """One model. `graph` begins a subgraph; what is added goes into the latest."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.model = schema.ModelT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs, self.model.signatureDefs = [], [], []
        self.graph("main")

    def graph(self, name: str) -> None:
        self._graph = schema.SubGraphT()
        self._graph.name = name.encode()
        self._graph.tensors, self._graph.operators, self._graph.inputs, self._graph.outputs = [], [], [], []
        self.model.subgraphs.append(self._graph)

    def tensor(self, name, kind, shape, data=None, *, scale=None, zero=0, sizes=None) -> int:
        """`sizes` are those that the file declares, -1 where it leaves one open."""
        made = schema.TensorT()
        made.name, made.type, made.shape, made.hasRank = name.encode(), KINDS[kind], list(shape), True
        if sizes is not None:
            made.shapeSignature = list(sizes)
        if data is not None:
            held = schema.BufferT()
            held.data = np.frombuffer(np.asarray(data, kind).tobytes(), np.uint8)
            self.model.buffers.append(held)
            made.buffer = len(self.model.buffers) - 1
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def op(self, name, inputs, outputs, options=None, *, version=1) -> None:
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        self._graph.operators.append(made)

    def ends(self, inputs, outputs) -> None:
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)

    def signature(self, key: str, graph: int, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = key.encode(), graph
        made.inputs, made.outputs = _maps(inputs), _maps(outputs)
        self.model.signatureDefs.append(made)

    def dense(self, x: int, rows: int, columns: int, out: str, kind: str = "float32") -> int:
        if kind == "int8":
            numbers = self.rng.integers(-127, 128, (rows, columns))
            weights = self.tensor(out + "_w", kind, [rows, columns], numbers, scale=0.01)
        else:
            weights = self.tensor(out + "_w", kind, [rows, columns], self.rng.standard_normal((rows, columns)) * 0.1)
        y = self.tensor(out, "float32", [1, rows])
        self.op("FULLY_CONNECTED", [x, weights, -1], [y], options("FullyConnectedOptions"))
        return y

    def bytes(self) -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


Make = Callable[[Builder], None]
MAKERS: dict[str, Make] = {}


def case(make: Make) -> Make:
    MAKERS[make.__name__] = make
    return make


def write(folder: Path, *names: str) -> list[Path]:
    """Write them, or those of the names; the same bytes whichever are asked for."""
    paths = []
    for name in names or MAKERS:
        builder = Builder(np.random.default_rng(3))
        MAKERS[name](builder)
        paths.append(folder / f"{name}.tflite")
        paths[-1].write_bytes(builder.bytes())
    return paths


def options(kind: str, **fields: object) -> object:
    made = getattr(schema, kind + "T")()
    for name, given in fields.items():
        setattr(made, name, given)
    return made


def _maps(entries: dict[str, int]) -> list[schema.TensorMapT]:
    made = []
    for name, index in entries.items():
        made.append(schema.TensorMapT())
        made[-1].name, made[-1].tensorIndex = name.encode(), index
    return made


@case
def t_dense(b):
    """A plain dense layer, for comparison."""
    x = b.tensor("x", "float32", [1, 64])
    b.ends([x], [b.dense(x, 32, 64, "y")])


@case
def t_range_by_input(b):
    """RANGE(100, length, 5): a made-up length of 1 cannot be computed with."""
    start, limit = b.tensor("start", "int32", [], 100), b.tensor("length", "int32", [])
    delta, y = b.tensor("delta", "int32", [], 5), b.tensor("y", "int32", [1], sizes=[-1])
    b.op("RANGE", [start, limit, delta], [y], options("RangeOptions"))
    b.ends([limit], [y])


@case
def t_dynamic_range(b):
    """Weights of int8, floats in and out."""
    x = b.tensor("x", "float32", [1, 64])
    b.ends([x], [b.dense(x, 32, 64, "y", "int8")])


@case
def t_full_int8(b):
    """int8 in and out with scales, int8 weights, an int32 bias."""
    x = b.tensor("x", "int8", [1, 64], scale=0.05, zero=3)
    weights = b.tensor("w", "int8", [32, 64], b.rng.integers(-127, 128, (32, 64)), scale=0.01)
    bias = b.tensor("bias", "int32", [32], np.zeros(32), scale=0.0005)
    y = b.tensor("y", "int8", [1, 32], scale=0.1, zero=-5)
    b.op("FULLY_CONNECTED", [x, weights, bias], [y], options("FullyConnectedOptions"), version=4)
    b.ends([x], [y])


@case
def t_int16x8(b):
    """Activations of 16 bits, weights of 8."""
    x = b.tensor("x", "int16", [1, 64], scale=0.001)
    weights = b.tensor("w", "int8", [32, 64], b.rng.integers(-127, 128, (32, 64)), scale=0.01)
    y = b.tensor("y", "int16", [1, 32], scale=0.002)
    b.op("FULLY_CONNECTED", [x, weights, -1], [y], options("FullyConnectedOptions"), version=4)
    b.ends([x], [y])


@case
def t_running_sum(b):
    """y = state += x: a state is kept between calls, as in models of streams."""
    x, handle = b.tensor("x", "float32", [1, 8]), b.tensor("handle", "resource", [])
    now, y = b.tensor("now", "float32", [1, 8]), b.tensor("y", "float32", [1, 8])
    named = options("VarHandleOptions", container=b"", sharedName=b"state")
    b.op("VAR_HANDLE", [], [handle], named)
    b.op("CALL_ONCE", [], [], options("CallOnceOptions", initSubgraphIndex=1))
    b.op("READ_VARIABLE", [handle], [now], options("ReadVariableOptions"))
    b.op("ADD", [now, x], [y], options("AddOptions"))
    b.op("ASSIGN_VARIABLE", [handle, y], [], options("AssignVariableOptions"))
    b.ends([x], [y])
    b.graph("init")
    handle, zero = b.tensor("handle", "resource", []), b.tensor("zero", "float32", [1, 8], np.zeros((1, 8)))
    b.op("VAR_HANDLE", [], [handle], named)
    b.op("ASSIGN_VARIABLE", [handle, zero], [], options("AssignVariableOptions"))


@case
def t_rank_seven(b):
    """FULLY_CONNECTED of rank 7: XNNPACK takes it and cannot prepare it, LiteRT's own kernels can."""
    x = b.tensor("x", "float32", [1, 1, 1, 1, 1, 1, 6])
    weights = b.tensor("w", "float32", [1, 6], np.ones((1, 6)))
    y = b.tensor("y", "float32", [1] * 7)
    b.op("FULLY_CONNECTED", [x, weights, -1], [y], options("FullyConnectedOptions", keepNumDims=True), version=5)
    b.ends([x], [y])


@case
def t_nameless(b):
    """Two inputs and two outputs without names, as of stripped models."""
    x, z, y, q = (b.tensor("", "float32", [1, 8]) for _ in range(4))
    b.op("ADD", [x, z], [y], options("AddOptions"))
    b.op("SUB", [x, z], [q], options("SubOptions"))
    b.ends([x, z], [y, q])


@case
def t_all_nan(b):
    """Nothing but NaN comes out."""
    x, a, n, y = (b.tensor(name, "float32", [1, 64]) for name in "xany")
    b.op("ABS", [x], [a], options("AbsOptions"))
    b.op("NEG", [a], [n], options("NegOptions"))
    b.op("SQRT", [n], [y])
    b.ends([x], [y])


@case
def t_no_reader(b):
    """A file of a newer schema: an operator number that nobody knows."""
    t_dense(b)
    b.model.operatorCodes[0].builtinCode, b.model.operatorCodes[0].deprecatedBuiltinCode = 999, 127


@case
def t_two_signatures(b):
    """Two signatures over two subgraphs, of 2,048 and of 512 weights."""
    x = b.tensor("x", "float32", [1, 64])
    y = b.dense(x, 32, 64, "y")
    b.ends([x], [y])
    b.graph("small")
    small_x = b.tensor("small_x", "float32", [1, 64])
    small_y = b.dense(small_x, 8, 64, "small_y")
    b.ends([small_x], [small_y])
    b.signature("large", 0, {"x": x}, {"y": y})
    b.signature("small", 1, {"x": small_x}, {"y": small_y})
