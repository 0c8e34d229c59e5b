"""Copies of an ONNX file that hand out its inner tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.diff.layout import UNKNOWN_BYTES, Copy, Layout, Operator, Part, Tensor, copy_inputs, handed_out, is_setting
from models.errors import UnreadableModel
from results.records import InputSpec

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
_DTYPES = {
    "float": "float32",
    "float16": "float16",
    "double": "float64",
    "bool": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxCopies:
    """One parsed file; copies are written beside its external data in `folder`."""

    def __init__(self, path: Path, inputs: Sequence[InputSpec], folder: Path) -> None:
        self._path = path
        self._folder = folder
        self._model = onnx.load(str(path), load_external_data=False)
        self._shapes = {spec.name: spec.shape for spec in inputs}
        self._graph = _Graph(self._model.graph)
        self._names = [spec.name for spec in inputs]
        self._names += [name for place in self._graph.places for name in _made(self._graph.nodes[place])]

    def layout(self) -> Layout:
        """What is in the file, with the types that ONNX Runtime infers. Raises UnreadableModel."""
        types = self._types()
        numbers = {name: number for number, name in enumerate(self._names)}
        makers: dict[str, int | None] = dict.fromkeys(self._shapes)
        operators: list[Operator] = []
        for place in self._graph.places:
            node = self._graph.nodes[place]
            makers.update(dict.fromkeys(_made(node), len(operators)))
            operators.append(
                Operator(
                    kind=node.op_type,
                    name=node.name,
                    inputs=tuple(numbers[name] for name in self._graph.reads[place] if name in numbers),
                    outputs=tuple(numbers[name] for name in _made(node)),
                    constant=self._graph.constants.issuperset(_made(node)),
                )
            )
        return Layout(
            operators=tuple(operators),
            tensors=tuple(
                Tensor(name=name, dtype=types[name][0], size_bytes=types[name][1], operator=makers[name])
                for name in self._names
            ),
            inputs=tuple(range(len(self._shapes))),
            outputs=tuple(
                numbers[value.name] if types.get(value.name, ("", 0))[0] else None for value in self._model.graph.output
            ),
        )

    def write(self, part: Part, layout: Layout, values: Mapping[int, NDArray[Any]]) -> Copy:
        """Write a copy; `values` are what a cut one is fed. Raises UnreadableModel."""
        if part.kind == "whole":
            made = handed_out(layout, part)
            model = self._with_outputs([self._value(number, layout) for number in made])
            copy = Copy(
                inputs=copy_inputs([self._names[number] for number in layout.inputs], layout.inputs),
                outputs=tuple(made),
            )
        else:
            model, copy = _Cut(self._model, self._graph, self._names, layout, values).of(part)
        self._write(model, f"{part.stem}.onnx")
        return copy

    def _value(self, number: int, layout: Layout) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(layout.tensors[number].dtype))
        return helper.make_tensor_value_info(self._names[number], kind, None)

    def _with_outputs(self, values: Sequence[Any]) -> Any:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        model.graph.output.extend(values)
        return model

    def _types(self) -> dict[str, tuple[str, int]]:
        """Name -> NumPy's type ("" for none) and size of every tensor, as ONNX Runtime infers them."""
        from onnxruntime import InferenceSession, SessionOptions

        settings = SessionOptions()
        settings.log_severity_level = 4
        settings.graph_optimization_level = settings.graph_optimization_level.__class__.ORT_DISABLE_ALL
        made = self._names[len(self._shapes) :]
        model = self._with_outputs([onnx.ValueInfoProto(name=name) for name in made])
        _fix_inputs(model.graph, self._shapes)
        path = self._write(model, "types.onnx")
        try:
            session = InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime raises classes of its own
            raise UnreadableModel(
                f"{self._path.name}: its inner tensors cannot be handed out, ONNX Runtime says of the copy: {exc}"
            ) from exc
        finally:
            path.unlink()
        found = {node.name: _type(node.type, node.shape) for node in (*session.get_inputs(), *session.get_outputs())}
        return {name: found.get(name, ("", 0)) for name in self._names}

    def _write(self, model: Any, name: str) -> Path:
        path = self._folder / name
        try:
            path.write_bytes(model.SerializeToString(deterministic=True))
        except (ValueError, EncodeError) as exc:
            raise UnreadableModel(f"{self._path.name}: a copy of it is larger than the 2 GiB of an ONNX file") from exc
        return path


class _Graph:
    """The nodes of a graph: what each reads, and which of what they make hangs on no input.

    `places` are the nodes that are operators; a Constant is a weight like any other.
    """

    def __init__(self, graph: Any) -> None:
        self.nodes = list(graph.node)
        self.places = [place for place, node in enumerate(self.nodes) if node.op_type != "Constant"]
        self.reads = [list(dict.fromkeys([*filter(None, node.input), *_captured(node)])) for node in self.nodes]
        self.maker = {name: place for place, node in enumerate(self.nodes) for name in _made(node)}
        self.constants = {tensor.name for tensor in graph.initializer}
        self.constants |= {tensor.values.name for tensor in graph.sparse_initializer}
        for node, names in zip(self.nodes, self.reads, strict=True):
            is_computed = bool(names) and node.op_type not in _RANDOM and self.constants.issuperset(names)
            if node.op_type == "Constant" or is_computed:
                self.constants.update(_made(node))


class _Cut:
    """Makes a model of operators of which each is fed with given tensors, not with what another has made.

    The inputs keep the tensors' names, so that nothing that reads them, inside branches and loops too, has to change;
    what is made gets another name.
    """

    def __init__(
        self,
        model: Any,
        graph: _Graph,
        names: Sequence[str],
        layout: Layout,
        values: Mapping[int, NDArray[Any]],
    ) -> None:
        self._model = model
        self._graph = graph
        self._numbers = {name: number for number, name in enumerate(names)}
        self._layout = layout
        self._values = values

    def of(self, part: Part) -> tuple[Any, Copy]:
        """Return the model and what it takes and hands out."""
        operators = range(part.first, part.end)
        wanted = {self._graph.places[one] for one in operators if not self._layout.operators[one].constant}
        kept = self._with_what_they_need(wanted)
        old = self._model
        # Before version 4 initializers had to be inputs.
        model = onnx.ModelProto(
            ir_version=max(4, old.ir_version), opset_import=old.opset_import, functions=old.functions
        )
        made: list[int] = []
        for place in kept:
            node = model.graph.node.add()
            node.CopyFrom(self._graph.nodes[place])
            if place in wanted:
                made += self._rename(node, model.graph)
        model.graph.name = "cut"
        read = {name for place in kept for name in self._graph.reads[place]}
        model.graph.initializer.extend(tensor for tensor in old.graph.initializer if tensor.name in read)
        model.graph.sparse_initializer.extend(
            tensor for tensor in old.graph.sparse_initializer if tensor.values.name in read
        )
        fed = self._feed(model.graph, sorted(read - self._graph.constants))
        return model, Copy(inputs=copy_inputs(fed, [self._numbers[name] for name in fed]), outputs=tuple(made))

    def _feed(self, graph: Any, names: Sequence[str]) -> list[str]:
        """Make inputs of tensors, constants of those that are but sizes and axes; return the inputs' names."""
        fed = []
        for name in names:
            array = self._value(name)
            if array is None:  # made inside
                continue
            if is_setting(array):
                graph.initializer.append(numpy_helper.from_array(array, name))
                continue
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
            fed.append(name)
        return fed

    def _rename(self, node: Any, graph: Any) -> list[int]:
        """Give what a node makes names that nothing reads, and hand it out; return the tensors."""
        made = []
        for position, name in enumerate(node.output):
            number = self._numbers.get(name)
            if number is None or not self._layout.tensors[number].dtype:
                continue
            node.output[position] = f"{name}/cut off"
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(self._layout.tensors[number].dtype))
            graph.output.append(helper.make_tensor_value_info(node.output[position], kind, None))
            made.append(number)
        return made

    def _value(self, name: str) -> NDArray[Any] | None:
        number = self._numbers.get(name)
        return None if number is None else self._values.get(number)

    def _with_what_they_need(self, wanted: Iterable[int]) -> list[int]:
        """Add the nodes that make what cannot be fed: constants, sequences. In the order of the graph."""
        found = set(wanted)
        todo = list(found)
        while todo:
            for name in self._graph.reads[todo.pop()]:
                place = self._graph.maker.get(name)
                if place is None or place in found:
                    continue
                if name in self._graph.constants or self._value(name) is None:
                    found.add(place)
                    todo.append(place)
        return sorted(found)


def _captured(node: Any) -> Iterator[str]:
    """Names that the graphs inside a node take from around it."""
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            for inner in graph.node:
                yield from (name for name in (*inner.input, *_captured(inner)) if name and name not in own)
                own.update(inner.output)
            yield from (value.name for value in graph.output if value.name not in own)


def _made(node: Any) -> list[str]:
    return [name for name in node.output if name]


def _type(said: str, shape: Sequence[Any]) -> tuple[str, int]:
    """`tensor(float)` -> the type's name in NumPy, "" for what no array holds, and the bytes of all its elements."""
    dtype = _DTYPES.get(said.removeprefix("tensor(").removesuffix(")"), "")
    if not dtype:
        return "", 0
    if not all(isinstance(size, int) for size in shape):
        return dtype, UNKNOWN_BYTES
    return dtype, int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize


def _fix_inputs(graph: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write the sizes that are fed into the inputs: without them hardly a size would be known."""
    for value in graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
