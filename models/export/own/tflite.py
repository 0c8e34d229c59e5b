"""Reading the user's TFLite files from their schema; the file itself is never changed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.artifacts import Precision, SourceFile
from models.errors import UnreadableModel, UnsupportedModel
from models.export.own.onnx import majority
from models.export.own.shapes import Declared
from results.files import sha256_of

MAX_BYTES = 2**31 - 1  # flatbuffers use 32-bit offsets

_DTYPES = {
    **{f"FLOAT{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
_PRECISIONS = {"FLOAT32": "fp32", "FLOAT64": "fp32", "FLOAT16": "fp16", "INT8": "int8", "UINT8": "int8", "INT4": "int8"}


class OwnTflite:
    """One file, seen through its schema. Raises UnreadableModel when it cannot be."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.path = path
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableModel(f"{path}: {size / 2**30:.1f} GiB; TFLite allows 2 GiB, use a smaller model")
        self._names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        try:
            self._model = schema.Model.GetRootAs(path.read_bytes(), 0)
            self._graph = self._model.Subgraphs(0)
            self._inputs = [self._declared(index) for index in _numbers(self._graph.InputsAsNumpy())]
            self._counts = self._count()
        except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as exc:
            raise UnreadableModel(f"{path}: a damaged TFLite file; export or copy it again") from exc
        if not _numbers(self._graph.OutputsAsNumpy()):
            raise UnreadableModel(f"{path}: the model has no outputs, so there is nothing to compute; export it again")
        self.sources = [SourceFile(path=path.name, sha256=sha256_of(path))]

    def declared_inputs(self) -> list[Declared]:
        """Inputs in the file's order; -1 in the shape signature is a dynamic dimension."""
        return self._inputs

    def weights(self) -> tuple[int, Precision]:
        """Number of weights (biases included) and the precision that most of them are in."""
        return sum(self._counts.values()), majority(self._counts)

    def _declared(self, index: int) -> Declared:
        tensor = self._graph.Tensors(index)
        name, kind = tensor.Name().decode(), self._names[tensor.Type()]
        if kind not in _DTYPES:
            raise UnsupportedModel(f"{self.path}: input {name} holds {kind.lower()}, which cannot be fed")
        sizes = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
        return Declared(name, _DTYPES[kind], tuple(size if size >= 0 else None for size in _numbers(sizes)))

    def _count(self) -> dict[str, int]:
        counts = {"fp32": 0, "fp16": 0, "int8": 0}
        for tensor in self._constants():
            kind = self._names[tensor.Type()]
            # An int32 constant is a bias where it has a scale, and an axis or a shape where it has none.
            quantized = tensor.Quantization() is not None and tensor.Quantization().ScaleLength() > 0
            precision = "int8" if kind == "INT32" and quantized else _PRECISIONS.get(kind)
            if precision:
                counts[precision] += int(np.prod(_numbers(tensor.ShapeAsNumpy()), dtype=object))
        return counts

    def _constants(self) -> Iterator[Any]:
        for number in range(self._model.SubgraphsLength()):
            graph = self._model.Subgraphs(number)
            for index in range(graph.TensorsLength()):
                tensor = graph.Tensors(index)
                buffer = self._model.Buffers(tensor.Buffer())
                if buffer.DataLength() or buffer.Size():
                    yield tensor


def _numbers(array: Any) -> list[int]:
    """A flatbuffers vector as integers; the generated code answers 0 for one that is not there."""
    return [] if isinstance(array, int) else [int(number) for number in array]
