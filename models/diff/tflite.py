"""Copies of a TFLite file that hand out its inner tensors."""

from __future__ import annotations

import copy as copying
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from models.diff.layout import UNKNOWN_BYTES, Copy, Layout, Operator, Part, Tensor, copy_inputs, handed_out, is_setting
from models.errors import UnreadableModel
from results.records import InputSpec

_DTYPES = {
    **{f"FLOAT{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
_RANDOM = {"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"}


class TfliteCopies:
    """The first graph of one file, or that of a signature, by the schema's object API."""

    def __init__(self, path: Path, inputs: Sequence[InputSpec], folder: Path, signature: str | None = None) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._signature = signature
        self._names = [spec.name for spec in inputs]
        self._path = path
        self._folder = folder
        self._kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self._types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        model, graph = self._read()
        self._constants = self._constant_tensors(model, graph)
        self._inputs = _numbers(graph.inputs)
        self._shapes = dict(zip(self._inputs, (spec.shape for spec in inputs), strict=False))
        # A tensor that two operators write, like a state, is that of the last.
        made = [index for operator in graph.operators for index in _numbers(operator.outputs) if index >= 0]
        self._indices = list(dict.fromkeys([*self._inputs, *made]))

    def layout(self) -> Layout:
        """What is in the file. Raises UnreadableModel."""
        model, graph = self._read()
        numbers = {index: number for number, index in enumerate(self._indices)}
        makers: dict[int, int] = {}
        operators = []
        for place, operator in enumerate(graph.operators):
            made = [index for index in _numbers(operator.outputs) if index >= 0]
            makers.update(dict.fromkeys(made, place))
            operators.append(
                Operator(
                    kind=self._kind(model, operator),
                    name="",
                    inputs=tuple(numbers[one] for one in _numbers(operator.inputs) if one in numbers),
                    outputs=tuple(numbers[one] for one in made),
                    constant=self._constants.issuperset(made),
                )
            )
        return Layout(
            operators=tuple(operators),
            tensors=tuple(self._tensor(graph.tensors[index], index, makers.get(index)) for index in self._indices),
            inputs=tuple(numbers[index] for index in self._inputs),
            outputs=tuple(
                numbers[index] if index in numbers and self._dtype(graph.tensors[index]) else None
                for index in _numbers(graph.outputs)
            ),
        )

    def write(self, part: Part, layout: Layout, values: Mapping[int, NDArray[Any]]) -> Copy:
        """Write a copy; `values` are what a cut one is fed. Raises UnreadableModel."""
        model, graph = self._read()
        if part.kind == "whole":
            made = handed_out(layout, part)
            graph.outputs = [self._indices[number] for number in made]
            fed = list(self._inputs)
        else:
            fed, made = self._cut(model, graph, layout, range(part.first, part.end), values)
        # A signature names inputs and outputs, which are others now.
        model.signatureDefs = []
        builder = flatbuffers.Builder(1 << 20)
        try:
            builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        except flatbuffers.builder.BuilderSizeError as exc:
            raise UnreadableModel(f"{self._path.name}: a copy of it is larger than TFLite's 2 GiB") from exc
        (self._folder / f"{part.stem}.tflite").write_bytes(builder.Output())
        numbers = {index: number for number, index in enumerate(self._indices)}
        names = [_text(graph.tensors[index].name) for index in fed]
        return Copy(inputs=copy_inputs(names, [numbers[index] for index in fed]), outputs=tuple(made))

    def _cut(
        self, model: Any, graph: Any, layout: Layout, places: Iterable[int], values: Mapping[int, NDArray[Any]]
    ) -> tuple[list[int], list[int]]:
        """Leave these operators alone, each fed with given tensors; return the tensors fed and those handed out."""
        numbers = {index: number for number, index in enumerate(self._indices)}
        wanted = [
            graph.operators[place]
            for place in places
            if not layout.operators[place].constant and not self._has_state(graph, graph.operators[place])
        ]
        kept = self._with_what_they_need(graph, wanted, numbers, values)
        read = {index for operator in kept for index in _numbers(operator.inputs)}
        fed, made = [], []
        for index in sorted(read & numbers.keys() - self._constants):
            array = values.get(numbers[index])
            if array is None:
                continue
            if is_setting(array):
                self._embed(model, graph.tensors[index], array)
                continue
            graph.tensors[index].shape = list(array.shape)
            graph.tensors[index].shapeSignature = None
            fed.append(index)
        for operator in wanted:
            operator.outputs = _numbers(operator.outputs)
            for position, index in enumerate(operator.outputs):
                if index >= 0 and self._dtype(graph.tensors[index]):
                    twin = copying.copy(graph.tensors[index])
                    twin.name = _text(twin.name) + "/cut off"
                    graph.tensors.append(twin)
                    operator.outputs[position] = len(graph.tensors) - 1
                    made.append(numbers[index])
        graph.operators, graph.inputs = kept, fed
        graph.outputs = list(range(len(graph.tensors) - len(made), len(graph.tensors)))
        return fed, made

    def _with_what_they_need(
        self, graph: Any, wanted: Sequence[Any], numbers: Mapping[int, int], values: Mapping[int, NDArray[Any]]
    ) -> list[Any]:
        """Add the operators that make what cannot be fed, in the order of the graph."""
        makers = {index: operator for operator in graph.operators for index in _numbers(operator.outputs)}
        found = {id(operator) for operator in wanted}
        todo = list(wanted)
        while todo:
            for index in _numbers(todo.pop().inputs):
                maker = makers.get(index)
                if maker is None or id(maker) in found:
                    continue
                if index in self._constants or numbers[index] not in values:
                    found.add(id(maker))
                    todo.append(maker)
        return [operator for operator in graph.operators if id(operator) in found]

    def _embed(self, model: Any, tensor: Any, array: NDArray[Any]) -> None:
        """Make a tensor a constant."""
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
        tensor.shape = list(array.shape)
        tensor.shapeSignature = None

    def _read(self) -> tuple[Any, Any]:
        """The model and its first graph, anew: writing changes them. Raises UnreadableModel.

        The graph of a signature takes the first one's place, with the inputs and outputs that the signature has, in the
        order of their names, as runtimes hand out its outputs.
        """
        try:
            model = self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAs(self._path.read_bytes(), 0))
            if self._signature is not None:
                chosen = next(one for one in model.signatureDefs if _text(one.signatureKey) == self._signature)
                fed = {_text(one.name): one.tensorIndex for one in chosen.inputs}
                made = {_text(one.name): one.tensorIndex for one in chosen.outputs}
                graph = model.subgraphs[0] = model.subgraphs[chosen.subgraphIndex]
                graph.inputs = [fed[name] for name in self._names]
                graph.outputs = [made[name] for name in sorted(made, key=str.encode)]
            return model, model.subgraphs[0]
        except (
            StopIteration,
            KeyError,
            struct.error,
            IndexError,
            ValueError,
            TypeError,
            AttributeError,
            OverflowError,
        ) as exc:
            raise UnreadableModel(f"{self._path.name}: a damaged TFLite file; export or copy it again") from exc

    def _constant_tensors(self, model: Any, graph: Any) -> set[int]:
        """What does not hang on any input."""
        found = {-1}
        for index, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                found.add(index)
        for operator in graph.operators:
            read = _numbers(operator.inputs)
            if read and self._kind(model, operator) not in _RANDOM and found.issuperset(read):
                found.update(_numbers(operator.outputs))
        return found

    def _has_state(self, graph: Any, operator: Any) -> bool:
        """Whether what an operator makes hangs on what others have left in a variable, which cannot be fed."""
        types = [self._types.get(graph.tensors[index].type) for index in _numbers(operator.inputs) if index >= 0]
        return "RESOURCE" in types

    def _kind(self, model: Any, operator: Any) -> str:
        code = model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        kind = self._kinds.get(number, str(number))
        return _text(code.customCode) if kind == "CUSTOM" and code.customCode else kind

    def _dtype(self, tensor: Any) -> str:
        return "" if tensor.isVariable else _DTYPES.get(self._types.get(tensor.type, ""), "")

    def _tensor(self, tensor: Any, index: int, operator: int | None) -> Tensor:
        dtype = self._dtype(tensor)
        sizes = self._shapes.get(index, tuple(_numbers(tensor.shape)))
        is_known = min(_numbers(tensor.shapeSignature), default=0) >= 0 or index in self._shapes
        size = int(np.prod(sizes, dtype=object)) * np.dtype(dtype).itemsize if dtype else 0
        return Tensor(
            name=_text(tensor.name), dtype=dtype, size_bytes=size if is_known else UNKNOWN_BYTES, operator=operator
        )


def _numbers(array: Any) -> list[int]:
    return [] if array is None else [int(number) for number in array]


def _text(said: Any) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")
