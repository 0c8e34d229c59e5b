"""Reading the user's ONNX files, and writing sizes into a copy. What is not understood is said in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto

from models.artifacts import SourceFile
from models.errors import UnreadableModel, UnsupportedModel
from models.export.own import onnx_numbers, onnx_scales, unknown
from models.export.own.external import data_files
from models.export.own.graphs import graphs, tensors
from models.export.own.numbers import Numbers
from models.export.own.onnx_scales import Scale
from models.export.own.shapes import Declared, Dimension, Resolved, symbol
from results.files import copy_file, sha256_of

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


class OwnOnnx:
    """One parsed file; `data` are its files of external data, by their path below its folder."""

    def __init__(self, path: Path) -> None:
        """Parse it and find its external data. Raises UnreadableModel."""
        self.path = path
        self._model = _parse(path)
        self.data = data_files(path, tensors(self._model))
        files = {path.name: path, **self.data}
        self.sources = [SourceFile(path=name, sha256=sha256_of(file)) for name, file in files.items()]

    @property
    def opset(self) -> int | None:
        """Version of the standard operator set."""
        versions = [entry.version for entry in self._model.opset_import if entry.domain in ("", "ai.onnx")]
        return int(versions[0]) if versions else None

    def unknown_operators(self) -> list[str]:
        """Those that ONNX Runtime here does not know."""
        return unknown.in_onnx(self._model)

    def declared_inputs(self) -> list[Declared]:
        """Inputs that have to be fed (old files list their weights among them, too). Raises UnreadableModel."""
        graph = self._model.graph
        weights = {tensor.name for tensor in graph.initializer}
        weights |= {tensor.values.name for tensor in graph.sparse_initializer}
        scales = onnx_scales.of_inputs(graph)
        return [self._declared(value, scales) for value in graph.input if value.name not in weights]

    def _declared(self, value: Any, scales: Mapping[str, Scale]) -> Declared:
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
        return Declared(value.name, _DTYPES[tensor.elem_type], dims, *scales.get(value.name, (None, 0)))

    def fix_shapes(self, declared: Iterable[Declared], resolved: Resolved) -> None:
        """Write the resolved shapes into the parsed model where it leaves any open."""
        shapes = {spec.name: shape for spec, shape in zip(declared, resolved.shapes, strict=True) if spec.is_dynamic}
        graph = self._model.graph
        del graph.value_info[:]  # inferred for the dynamic shapes; every runtime infers it again
        for value in graph.input:
            if value.name in shapes:
                _set_shape(value, shapes[value.name])
        for inner in graphs(graph):
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
        """Write the changed model beside its external data. Raises UnreadableModel when it is too large."""
        try:
            target.write_bytes(self._model.SerializeToString(deterministic=True))
        except (ValueError, EncodeError) as exc:
            raise UnreadableModel(_too_large(self.path, self._model.ByteSize())) from exc

    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return [value.name for value in self._model.graph.output]

    def numbers(self) -> Numbers:
        """Its weights, and the types it computes in."""
        return onnx_numbers.numbers(self._model)

    def gather(self, folder: Path) -> Path:
        """Return the file to run: this one or, with external data, a copy of all files in `folder`."""
        if not self.data:
            return self.path
        for name, file in self.data.items():
            copy_file(file, folder / name)
        copy_file(self.path, folder / "model.onnx")
        return folder / "model.onnx"


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
    words = "ONNX allows 2 GiB in one file, without its external data"
    return f"{path}: {size / 2**30:.1f} GiB; {words}: save it with the weights as external data"


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
