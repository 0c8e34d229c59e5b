"""Reading the user's TFLite files from their schema; the file itself is never changed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.artifacts import SourceFile
from models.errors import UnreadableModel, UnsupportedModel
from models.export.own.numbers import Numbers
from models.export.own.shapes import Declared
from results.files import sha256_of

MAX_BYTES = 2**31 - 1  # flatbuffers use 32-bit offsets

_DTYPES = {
    **{f"FLOAT{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
_PRECISIONS = {
    "FLOAT64": "fp64",
    "FLOAT32": "fp32",
    "FLOAT16": "fp16",
    "BFLOAT16": "bf16",
    "INT16": "int16",
    **dict.fromkeys(("INT8", "UINT8"), "int8"),
    **dict.fromkeys(("INT4", "UINT4"), "int4"),
    "INT2": "int2",
}
_MULTIPLY = {
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "CONV_3D_TRANSPOSE",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    "LSTM",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "RNN",
    "SVDF",
}
_TABLES = {"GATHER", "EMBEDDING_LOOKUP", "GATHER_ND"}


class OwnTflite:
    """One file, seen through its schema. Raises UnreadableModel when it cannot be."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.path = path
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableModel(f"{path}: {size / 2**30:.1f} GiB; TFLite allows 2 GiB, use a smaller model")
        self._names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        operators = vars(schema.BuiltinOperator).items()
        self._operator_names = {value: name for name, value in operators if isinstance(value, int)}
        try:
            self._model = schema.Model.GetRootAs(path.read_bytes(), 0)
            self._index = 0
            self._graph = self._model.Subgraphs(self._index)
            self._inputs = [self._declared(index) for index in _numbers(self._graph.InputsAsNumpy())]
            self._numbers = self._count()
        except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as exc:
            raise UnreadableModel(f"{path}: a damaged TFLite file; export or copy it again") from exc
        if not _numbers(self._graph.OutputsAsNumpy()):
            raise UnreadableModel(f"{path}: the model has no outputs, so there is nothing to compute; export it again")
        self.sources = [SourceFile(path=path.name, sha256=sha256_of(path))]

    def declared_inputs(self) -> list[Declared]:
        """Inputs in the file's order; -1 in the shape signature is a dynamic dimension."""
        return self._inputs

    def numbers(self) -> Numbers:
        """Its weights, and the types it computes in."""
        return self._numbers

    def _declared(self, index: int) -> Declared:
        tensor = self._graph.Tensors(index)
        name, kind = tensor.Name().decode(), self._names[tensor.Type()]
        if kind not in _DTYPES:
            raise UnsupportedModel(f"{self.path}: input {name} holds {kind.lower()}, which cannot be fed")
        sizes = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
        return Declared(name, _DTYPES[kind], tuple(size if size >= 0 else None for size in _numbers(sizes)))

    def _count(self) -> Numbers:
        found, activations, others = Numbers(), Counter[str](), Counter[str]()
        buffers: set[int] = set()
        for graph in self._graphs():
            kinds = [self._kind(graph.Tensors(index)) for index in range(graph.TensorsLength())]
            constant = [self._is_constant(graph.Tensors(index)) for index in range(graph.TensorsLength())]
            tables, multiplied = self._operators(graph, kinds, constant, others)
            activations += multiplied
            for index, kind in enumerate(kinds):
                tensor = graph.Tensors(index)
                if not kind or not constant[index] or tensor.Buffer() in buffers:
                    continue
                buffers.add(tensor.Buffer())  # several tensors, or signatures, may share one
                size = int(np.prod(_numbers(tensor.ShapeAsNumpy()), dtype=object))
                found.parameters += size
                if size > 1:
                    found.weights[kind] += size
                    found.multiplied[kind] += 0 if index in tables else size
        found.multiplied = +found.multiplied
        found.activations = activations or others
        return found

    def _graphs(self) -> Iterator[Any]:
        """The graph that is run and those that it may call: all but those of other signatures."""
        signatures = [self._model.SignatureDefs(number) for number in range(self._model.SignatureDefsLength())]
        others = {signature.SubgraphIndex() for signature in signatures} - {self._index}
        for number in range(self._model.SubgraphsLength()):
            if number not in others:
                yield self._model.Subgraphs(number)

    def _operators(
        self, graph: Any, kinds: list[str], constant: list[bool], others: Counter[str]
    ) -> tuple[set[int], Counter[str]]:
        """Tensors that are only looked up in; operators that multiply by the type of their output."""
        tables, elsewhere, multiplied = set[int](), set[int](), Counter[str]()
        for number in range(graph.OperatorsLength()):
            operator = graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = self._operator_names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
            inputs = [index for index in _numbers(operator.InputsAsNumpy()) if index >= 0]
            elsewhere.update(inputs if name not in _TABLES else inputs[1:])
            tables.update(inputs if name in _TABLES else ())
            if all(constant[index] for index in inputs):
                continue  # fp16 weights made fp32, say
            for index in _numbers(operator.OutputsAsNumpy())[:1]:
                if kinds[index]:
                    (multiplied if name in _MULTIPLY else others)[kinds[index]] += 1
        return tables - elsewhere, multiplied

    def _kind(self, tensor: Any) -> str:
        """The type of a tensor's numbers, "" for what is no number: an index, a shape, an axis."""
        kind = self._names.get(tensor.Type(), "")
        # An int32 or int64 is a bias where it has a scale.
        quantized = tensor.Quantization() is not None and tensor.Quantization().ScaleLength() > 0
        if kind in ("INT32", "INT64"):
            return "int8" if quantized else ""
        return _PRECISIONS.get(kind, "") if kind != "INT16" or quantized else ""

    def _is_constant(self, tensor: Any) -> bool:
        buffer = self._model.Buffers(tensor.Buffer())
        return bool(buffer.DataLength() or buffer.Size())


def _numbers(array: Any) -> list[int]:
    """A flatbuffers vector as integers; the generated code answers 0 for one that is not there."""
    return [] if isinstance(array, int) else [int(number) for number in array]
