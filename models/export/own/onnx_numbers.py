"""The weights of an ONNX file and the types it computes in, read off its graphs, branches, bodies and functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto

from models.export.own.graphs import inner_graphs
from models.export.own.numbers import Numbers

_TYPES = {
    "FLOAT": "fp32",
    "DOUBLE": "fp64",
    "FLOAT16": "fp16",
    "BFLOAT16": "bf16",
    "INT2": "int2",
    "UINT2": "int2",
    "INT4": "int4",
    "UINT4": "int4",
    "INT8": "int8",
    "UINT8": "int8",
    "INT16": "int16",
    "UINT16": "int16",
    "INT32": "int32",
    "UINT32": "int32",
    "INT64": "int64",
    "UINT64": "int64",
    "BOOL": "bool",
    "STRING": "string",
    "FLOAT8E4M3FN": "fp8",
    "FLOAT8E4M3FNUZ": "fp8",
    "FLOAT8E5M2": "fp8",
    "FLOAT8E5M2FNUZ": "fp8",
    "FLOAT8E8M0": "fp8",
    "FLOAT4E2M1": "fp4",
}
_BY_NUMBER = {number: _TYPES[name] for name, number in TensorProto.DataType.items() if name in _TYPES}
_FLOATS = {"fp64", "fp32", "fp16", "bf16"}
_SMALL = {"int2", "int4", "int8", "fp8", "fp4"}  # what is never an index, a shape or an axis
_NUMBERS = {*_FLOATS, *_SMALL, "int16"}

# Which inputs are no weights: scales, zero points, sizes, limits. A slice covers all that follow.
_NOT_WEIGHTS: dict[str, slice | tuple[int, ...]] = {
    "QuantizeLinear": slice(1, None),
    "DequantizeLinear": slice(1, None),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QLinearAdd": (1, 2, 4, 5, 6, 7),
    "QLinearMul": (1, 2, 4, 5, 6, 7),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "QLinearConcat": slice(0, None),
    "ConvInteger": slice(2, None),
    "MatMulInteger": slice(2, None),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "DynamicQuantizeMatMul": (2, 3),
    "QAttention": (3, 4, 6, 7),
    "MatMulNBits": (2, 3, 4),
    "MatMulBnb4": slice(2, None),
    "GatherBlockQuantized": slice(1, None),
    "Resize": slice(1, None),
    "Upsample": slice(1, None),
    "Clip": slice(1, None),
    "Pad": slice(1, None),
    "Dropout": slice(1, None),
    "OneHot": slice(0, None),
    "Range": slice(0, None),
}
_BITS = {"MatMulNBits": 4, "GatherBlockQuantized": 4, "MatMulBnb4": 4}
_TABLES = {"Gather", "GatherBlockQuantized"}
_MULTIPLY = {
    "Conv",
    "ConvTranspose",
    "FusedConv",
    "MatMul",
    "FusedMatMul",
    "Gemm",
    "FusedGemm",
    "LSTM",
    "GRU",
    "RNN",
    "Attention",
    "MultiHeadAttention",
    "GroupQueryAttention",
    "Einsum",
    "MatMulNBits",
    "MatMulBnb4",
}
_INTEGERS = {"QGemm", "MatMulInteger", "ConvInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QAttention"}
_RESULTS = {
    **dict.fromkeys(("Shape", "Size", "ArgMax", "ArgMin", "NonZero"), "int64"),
    **dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or"), "bool"),
    **dict.fromkeys(("IsNaN", "IsInf"), "bool"),
    **dict.fromkeys(("MatMulInteger", "ConvInteger"), "int32"),
}


@dataclass
class _Weight:
    """A constant, and what it is used as; `kind` and `size` are those of its elements, unpacked."""

    kind: str
    size: int
    in_node: bool = False
    uses: set[str] = field(default_factory=set)  # weight, table, other, dequantized, quantized


class _Scope:
    """The names of a graph; those of the graph around it are seen, too."""

    def __init__(self, outer: _Scope | None = None) -> None:
        self.outer = outer
        self.weights: dict[str, _Weight] = {}
        self.types: dict[str, str] = {}
        self.quantized: dict[str, str] = {}  # what DequantizeLinear made of a quantized activation

    def weight(self, name: str) -> _Weight | None:
        return self.weights.get(name) or (self.outer.weight(name) if self.outer else None)

    def type(self, name: str) -> str:
        found = self.weights.get(name)
        kind = found.kind if found else self.types.get(name, "")
        return kind or (self.outer.type(name) if self.outer else "")

    def passed(self, name: str) -> str:
        """The type in which an activation was passed on: the quantized one where it comes from DequantizeLinear."""
        scope: _Scope | None = self
        while scope:
            if name in scope.quantized:
                return scope.quantized[name]
            scope = scope.outer
        return self.type(name)


def numbers(model: Any) -> Numbers:
    """Count a parsed model."""
    return _Counting().count(model)


class _Counting:
    def __init__(self) -> None:
        self._all: list[_Weight] = []
        self._multiplied: Counter[str] = Counter()
        self._others: Counter[str] = Counter()

    def count(self, model: Any) -> Numbers:
        self._graph(model.graph, None)
        for function in model.functions:
            self._nodes(function.node, _Scope())
        found = Numbers(activations=self._multiplied or _floats(self._others) or self._others)
        scalars: Counter[str] = Counter()
        for weight in self._all:
            kind = _kind_of(weight)
            if not kind:
                continue
            found.parameters += weight.size
            if weight.size <= 1:
                scalars[kind] += weight.size
                continue
            found.weights[kind] += weight.size
            if weight.uses != {"table"}:
                found.multiplied[kind] += weight.size
        found.weights = found.weights or +scalars
        return found

    def _graph(self, graph: Any, outer: _Scope | None) -> None:
        scope = _Scope(outer)
        for value in (*graph.input, *graph.value_info):
            scope.types[value.name] = _BY_NUMBER.get(value.type.tensor_type.elem_type, "")
        for tensor in graph.initializer:
            self._add(scope, tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            self._add(scope, sparse.values.name, sparse.values)
        self._nodes(graph.node, scope)

    def _add(self, scope: _Scope, name: str, tensor: Any, in_node: bool = False) -> None:
        kind = _BY_NUMBER.get(tensor.data_type, "")
        weight = _Weight(kind, int(np.prod(tensor.dims, dtype=object)), in_node)
        scope.weights[name] = weight
        self._all.append(weight)

    def _nodes(self, nodes: Iterable[Any], scope: _Scope) -> None:
        for node in nodes:
            if node.op_type == "Constant":
                self._constant(node, scope)
                continue
            self._uses(node, scope)
            for graph in inner_graphs(node):
                self._graph(graph, scope)
                for output, value in zip(reversed(node.output), reversed(graph.output), strict=False):
                    scope.types.setdefault(output, _BY_NUMBER.get(value.type.tensor_type.elem_type, ""))
            result = _result(node, scope)
            for output in node.output:
                scope.types.setdefault(output, result)
            self._activation(node, scope)

    def _constant(self, node: Any, scope: _Scope) -> None:
        for attribute in node.attribute:
            if attribute.name == "value":
                self._add(scope, node.output[0], attribute.t, in_node=True)
            elif attribute.name == "sparse_value":
                self._add(scope, node.output[0], attribute.sparse_tensor.values, in_node=True)
            elif attribute.name == "value_floats":
                scope.weights[node.output[0]] = weight = _Weight("fp32", len(attribute.floats), in_node=True)
                self._all.append(weight)
            else:
                scope.types[node.output[0]] = {"value_float": "fp32", "value_string": "string"}.get(
                    attribute.name, "int64"
                )

    def _uses(self, node: Any, scope: _Scope) -> None:
        others = _NOT_WEIGHTS.get(node.op_type, ())
        places = range(len(node.input))
        not_weights = set(places[others] if isinstance(others, slice) else others)
        if node.op_type == "QLinearConcat":
            not_weights -= set(places[2::3])
        for place, name in enumerate(node.input):
            weight = scope.weight(name) if name else None
            if weight is None:
                continue
            if place in not_weights:
                weight.uses.add("other")
            elif node.op_type == "DequantizeLinear":
                weight.uses.add("dequantized")
            elif node.op_type == "QuantizeLinear":
                weight.uses.add("quantized")
            elif node.op_type in _BITS and place == (0 if node.op_type in _TABLES else 1):
                _unpack(weight, node)
                weight.uses.add("table" if node.op_type in _TABLES else "weight")
            else:
                weight.uses.add("table" if node.op_type in _TABLES and place == 0 else "weight")

    def _activation(self, node: Any, scope: _Scope) -> None:
        """Count an operator by the type that it is given."""
        kind = node.op_type
        fed = [name for name in node.input if name and scope.weight(name) is None]
        if kind == "QuantizeLinear" or not fed:
            return
        if kind == "DequantizeLinear":
            for output in node.output:
                scope.quantized[output] = scope.type(fed[0])
            return
        if kind.startswith("QLinear") or kind in _INTEGERS:
            self._multiplied["int8"] += 1
            return
        passed = scope.passed(fed[0])
        if passed in _NUMBERS and kind in _MULTIPLY:
            self._multiplied[passed] += 1
        elif passed:
            self._others[passed] += 1


def _kind_of(weight: _Weight) -> str:
    """As what a constant counts, "" when it is no weight."""
    if weight.uses == {"other"}:
        return ""
    if "dequantized" in weight.uses and weight.kind.startswith("int"):
        return "int8" if weight.kind in ("int32", "int64") else weight.kind  # a bias is held at double width
    if weight.uses == {"quantized"} and weight.kind in _FLOATS:
        return "int8"  # quantized while the file is loaded
    if weight.kind in _FLOATS and weight.in_node and weight.size <= 1:
        return ""  # a factor or a limit of the code
    return weight.kind if weight.kind in _FLOATS | _SMALL else ""


def _unpack(weight: _Weight, node: Any) -> None:
    """Weights of a few bits, several in a byte: their own number and type."""
    given = {attribute.name: attribute.i for attribute in node.attribute}
    bits = given.get("bits", _BITS[node.op_type])
    if weight.kind != "int8" or bits not in (2, 4, 8) or "table" in weight.uses or "weight" in weight.uses:
        return
    rows, columns = given.get("N", 0), given.get("K", 0)
    weight.size = rows * columns if rows > 0 and columns > 0 else weight.size * (8 // bits)
    weight.kind = "fp4" if node.op_type == "MatMulBnb4" else f"int{bits}"


def _result(node: Any, scope: _Scope) -> str:
    """The type of what an operator answers, as far as that is needed here."""
    kind = node.op_type
    if kind in _RESULTS:
        return _RESULTS[kind]
    given = {attribute.name: attribute for attribute in node.attribute}
    if kind == "Cast" and "to" in given:
        return _BY_NUMBER.get(given["to"].i, "")
    if kind == "ConstantOfShape":
        return _BY_NUMBER.get(given["value"].t.data_type, "") if "value" in given else "fp32"
    if kind == "QuantizeLinear":
        stated = _BY_NUMBER.get(given["output_dtype"].i, "") if "output_dtype" in given else ""
        return scope.type(node.input[2]) if len(node.input) > 2 else stated or "int8"
    if kind in ("DequantizeLinear", "Where"):
        return scope.type(node.input[1]) if len(node.input) > 1 else ""
    if kind == "DynamicQuantizeLinear":
        return "int8"
    types = list(_types(node, scope))
    return next((one for one in types if one != "bool"), types[0] if types else "")


def _types(node: Any, scope: _Scope) -> Iterator[str]:
    for name in node.input:
        if name and (kind := scope.type(name)):
            yield kind


def _floats(counts: Counter[str]) -> Counter[str]:
    return Counter({kind: count for kind, count in counts.items() if kind in _NUMBERS})
