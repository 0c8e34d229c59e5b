"""Reading the user's ONNX files: inputs, external data, static shapes. What is not understood is said in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto

from models.artifacts import Precision, SourceFile
from models.errors import UnreadableModel, UnsupportedModel
from models.export.own.shapes import Declared, Dimension, Resolved, symbol
from results.files import sha256_of

MAX_BYTES = 2**31 - 1  # protobuf, hence ONNX, cannot hold more in one file

_FLOATS = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
_DTYPES: dict[int, str] = {
    **_FLOATS,
    **{
        getattr(TensorProto, f"{sign}INT{bits}"): f"{sign.lower()}int{bits}"
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    TensorProto.BOOL: "bool",
}
# What exporters call files of weights: "weights.bin", "model.onnx_data_1", "layers.0.weight", "onnx__MatMul_497".
_DATA_NAME = re.compile(
    r"^onnx__\w+$|(?:^|[._-])(?:data|weights?|bias|params?|tensors?|bin|raw|dat|pb|value|scale|zero_point)(?:_?\d+)*$",
    re.IGNORECASE,
)
_QUANTIZED = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4}


class OwnOnnx:
    """One parsed file. `changed` tells whether it still is what the user gave, byte for byte."""

    def __init__(self, path: Path) -> None:
        """Parse and take in external data. Raises UnreadableModel."""
        self.path = path
        self.changed = False
        self._model = _parse(path)
        self.sources = [SourceFile(path=path.name, sha256=sha256_of(path))]
        self._embed_external_data()

    @property
    def opset(self) -> int | None:
        """Version of the standard operator set."""
        versions = [entry.version for entry in self._model.opset_import if entry.domain in ("", "ai.onnx")]
        return int(versions[0]) if versions else None

    def declared_inputs(self) -> list[Declared]:
        """Inputs that have to be fed (old files list their weights among them, too). Raises UnreadableModel."""
        graph = self._model.graph
        weights = {tensor.name for tensor in graph.initializer}
        weights |= {tensor.values.name for tensor in graph.sparse_initializer}
        return [self._declared(value) for value in graph.input if value.name not in weights]

    def _declared(self, value: Any) -> Declared:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            words = str(kind).removesuffix("_type").replace("_", " ") if kind else "unknown type"
            raise UnsupportedModel(f"{self.path}: input {value.name} is of type {words}; only plain tensors can be fed")
        tensor = value.type.tensor_type
        if tensor.elem_type not in _DTYPES:
            names = {number: name for name, number in TensorProto.DataType.items()}
            name = names.get(tensor.elem_type, str(tensor.elem_type)).lower()
            raise UnsupportedModel(f"{self.path}: input {value.name} holds {name}, which cannot be fed")
        dims = tuple(_dimension(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
        return Declared(value.name, _DTYPES[tensor.elem_type], dims)

    def fix_shapes(self, declared: Iterable[Declared], resolved: Resolved) -> None:
        """Write the resolved shapes into the model where it leaves any open."""
        shapes = {spec.name: shape for spec, shape in zip(declared, resolved.shapes, strict=True)}
        dynamic = {spec.name for spec in declared if spec.is_dynamic}
        if not dynamic:
            return
        self.changed = True
        graph = self._model.graph
        del graph.value_info[:]  # inferred for the dynamic shapes; every runtime infers it again
        for value in graph.input:
            if value.name in dynamic:
                _set_shape(value, shapes[value.name])
        for inner in _graphs(graph):
            for value in (*inner.input, *inner.output, *inner.value_info):
                _replace_symbols(value, resolved.symbols)

    def correct_outputs(self, outputs: list[NDArray[Any]]) -> bool:
        """Replace sizes declared for outputs that are not what came out; whether any was."""
        corrected = False
        for value, array in zip(self._model.graph.output, outputs, strict=True):
            dims = value.type.tensor_type.shape.dim
            wrong = len(dims) != array.ndim or any(
                dim.dim_value > 0 and dim.dim_value != size for dim, size in zip(dims, array.shape, strict=False)
            )
            if wrong and value.type.tensor_type.HasField("shape"):
                _set_shape(value, array.shape)
                corrected = True
        return corrected

    def write(self, target: Path) -> None:
        """Write the changed model as one file. Raises UnreadableModel when it is too large for one."""
        try:
            target.write_bytes(self._model.SerializeToString(deterministic=True))
        except (ValueError, EncodeError) as exc:
            raise UnreadableModel(_too_large(self.path, self._model.ByteSize())) from exc

    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [value.name for value in self._model.graph.output]

    def weights(self) -> tuple[int, Precision]:
        """Number of weights (biases included) and the precision that most of them are in."""
        scales, integers = set(), set()
        for node in self._model.graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                scales.update(node.input[1:])
                if node.op_type == "DequantizeLinear":
                    integers.add(node.input[0])
        counts = {"fp32": 0, "fp16": 0, "int8": 0}
        for tensor in self._model.graph.initializer:
            size = int(np.prod(tensor.dims, dtype=object))
            if tensor.name in scales:
                continue
            if tensor.data_type in _QUANTIZED or tensor.name in integers:
                counts["int8"] += size
            elif tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
                counts["fp16"] += size
            elif tensor.data_type in _FLOATS:
                counts["fp32"] += size
        return sum(counts.values()), majority(counts)

    def _embed_external_data(self) -> None:
        external = [
            tensor
            for tensor in _tensors(self._model)
            if tensor.data_location == TensorProto.EXTERNAL and not self._keep_inline(tensor)
        ]
        total = self._model.ByteSize()
        files: dict[str, Path] = {}
        for tensor in external:
            location, offset, length = self._location(tensor, files)
            total += length
            if total > MAX_BYTES:
                raise UnreadableModel(_too_large(self.path, total))
            with files[location].open("rb") as file:
                file.seek(offset)
                tensor.raw_data = file.read(length)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
        self.changed = self.changed or bool(external)
        self.sources += [SourceFile(path=name, sha256=sha256_of(file)) for name, file in sorted(files.items())]

    @staticmethod
    def _keep_inline(tensor: Any) -> bool:
        return not tensor.external_data and tensor.HasField("raw_data")

    def _location(self, tensor: Any, files: dict[str, Path]) -> tuple[str, int, int]:
        """(file, offset, length) of a tensor's external data, checked to lie inside the model's folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in files:
            files[location] = self._data_file(tensor.name, location)
        size = files[location].stat().st_size
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(size - offset)))
        except ValueError as exc:
            raise UnreadableModel(f"{self.path}: weight {tensor.name}: damaged reference to {location}") from exc
        if offset < 0 or length < 0 or offset + length > size:
            raise UnreadableModel(
                f"{self.path}: the external data {location} is too short ({size} bytes) for weight {tensor.name}; "
                "copy it again"
            )
        return location, offset, length

    def _data_file(self, weight: str, location: str) -> Path:
        """The file of external data, if it is nothing but that: a model that is not trusted may name any file.

        It lies beside the model or below, or behind a link there, where the model's own link leads (the cache of a
        model hub is such links); it is not hidden, and is named as data are.
        """
        named, path = Path(location), self.path.parent / location
        homes = (self.path.parent.resolve(), self.path.resolve().parent)
        home = next((home for home in homes if path.resolve().is_relative_to(home)), None)
        refers = f"{self.path}: weight {weight} refers to {location!r}"
        if not location or named.is_absolute() or ".." in named.parts or home is None:
            raise UnreadableModel(f"{refers}, outside the model's folder; this is not followed")
        if any(part.startswith(".") for part in (*named.parts, *path.resolve().relative_to(home).parts)):
            raise UnreadableModel(f"{refers}, which is hidden or in a hidden folder; this is not followed")
        if not (_DATA_NAME.search(named.name) or named.name.startswith(self.path.name)):
            raise UnreadableModel(
                f"{refers}, which is not named as data are; save the model's weights as {self.path.name}.data"
            )
        if not path.is_file():
            raise UnreadableModel(f"{self.path}: its external data {location} is missing; copy it beside the model")
        return path


def majority(counts: Mapping[str, int]) -> Precision:
    """The precision most weights are in; fp32 for a model without weights."""
    order: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    return max(order, key=lambda precision: counts[precision])


def _parse(path: Path) -> Any:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableModel(_too_large(path, size))
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as exc:
        raise UnreadableModel(f"{path}: not an ONNX file, or a damaged one; export or copy it again") from exc
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise UnreadableModel(f"{path}: not an ONNX model (it holds no graph); export or copy it again")
    if not model.graph.output:
        raise UnreadableModel(f"{path}: the model has no outputs, so there is nothing to compute; export it again")
    return model


def _too_large(path: Path, size: int) -> str:
    return f"{path}: {size / 2**30:.1f} GiB with its weights; ONNX allows 2 GiB in one file, use a smaller model"


def _dimension(dim: Any) -> Dimension:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return symbol(str(dim.dim_param))


def _set_shape(value: Any, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    value.type.tensor_type.shape.SetInParent()
    for size in shape:
        dims.add().dim_value = size


def _replace_symbols(value: Any, symbols: Mapping[str, int]) -> None:
    if value.type.WhichOneof("value") != "tensor_type":
        return
    for dim in value.type.tensor_type.shape.dim:
        if dim.dim_param in symbols:
            dim.dim_value = symbols[dim.dim_param]


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its nodes (the branches of If, the bodies of Loop and Scan)."""
    yield graph
    for attribute in _attributes(graph.node):
        for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
            yield from _graphs(inner)


def _attributes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        yield from node.attribute


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model, wherever it may be kept."""
    node_lists = [function.node for function in model.functions]
    for graph in _graphs(model.graph):
        node_lists.append(graph.node)
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for nodes in node_lists:
        for attribute in _attributes(nodes):
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
