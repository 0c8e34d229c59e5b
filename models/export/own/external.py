"""External data of an ONNX file: which files it is, and that it is nothing else. A model may name any file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from onnx import TensorProto

from models.errors import UnreadableModel

# What exporters call files of weights: "weights.bin", "model.onnx_data_1", "layers.0.weight", "onnx__MatMul_497".
_DATA_NAME = re.compile(
    r"^onnx__\w+$|(?:^|[._-])(?:data|weights?|bias|params?|tensors?|bin|raw|dat|pb|value|scale|zero_point)(?:_?\d+)*$",
    re.IGNORECASE,
)
_MAX_FILES = 4096


def data_files(model: Path, tensors: Iterable[Any]) -> dict[str, Path]:
    """The files that tensors of `model` lie in, by their path below its folder. Raises UnreadableModel."""
    found: dict[str, Path] = {}
    for tensor in tensors:
        if tensor.data_location == TensorProto.EXTERNAL and not _keeps_inline(tensor):
            _check(model, tensor, found)
    return dict(sorted(found.items()))


def _keeps_inline(tensor: Any) -> bool:
    return not tensor.external_data and tensor.HasField("raw_data")


def _check(model: Path, tensor: Any, found: dict[str, Path]) -> None:
    """Take in the file of a tensor, and see that the tensor fits into it."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    name = str(PurePosixPath(location))
    if name not in found:
        found[name] = _data_file(model, tensor.name, location)
        if len(found) > _MAX_FILES:
            raise UnreadableModel(f"{model}: more than {_MAX_FILES} files of external data; save it in fewer")
    size = found[name].stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError as exc:
        raise UnreadableModel(f"{model}: weight {tensor.name}: damaged reference to {location}") from exc
    if offset < 0 or length < 0 or offset + length > size:
        raise UnreadableModel(
            f"{model}: the external data {location} is too short ({size} bytes) for weight {tensor.name}; copy it again"
        )


def _data_file(model: Path, weight: str, location: str) -> Path:
    """The file of external data, if it is nothing but that: a model that is not trusted may name any file.

    It lies beside the model or below, or behind a link there, where the model's own link leads (the cache of a model
    hub is such links); it is not hidden, and is named as data are.
    """
    named, path = Path(location), model.parent / location
    homes = (model.parent.resolve(), model.resolve().parent)
    home = next((home for home in homes if path.resolve().is_relative_to(home)), None)
    refers = f"{model}: weight {weight} refers to {location!r}"
    if not location or named.is_absolute() or ".." in named.parts or home is None:
        raise UnreadableModel(f"{refers}, outside the model's folder; this is not followed")
    if any(part.startswith(".") for part in (*named.parts, *path.resolve().relative_to(home).parts)):
        raise UnreadableModel(f"{refers}, which is hidden or in a hidden folder; this is not followed")
    if not (_DATA_NAME.search(named.name) or named.name.startswith(model.name)) or _is_taken(named):
        raise UnreadableModel(
            f"{refers}, which is not named as data are; save the model's weights as {model.name}.data"
        )
    if not path.is_file():
        raise UnreadableModel(f"{model}: its external data {location} is missing; copy it beside the model")
    return path


def _is_taken(named: Path) -> bool:
    """Whether the name is that of what else lies in an artifact's folder, or none that every file system has."""
    return (
        named.parts[0] == "model.onnx"
        or not str(named).isprintable()
        or any(len(part.encode("utf-8", "replace")) > 200 for part in named.parts)
    )
