"""The file that an interrupted training goes on from: all tensors of it, and where it stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import safetensors.torch
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.errors import ModelError
from models.train.recipe import Recipe
from results.files import write_file
from results.records import Record, Text

PARTS = ("module", "average", "momentum")
_KEY = "edgebench-training"


class Head(Record):
    """Of which training it is, how many epochs of it are done, and the seconds that they took."""

    recipe: Recipe
    identity: Text
    epoch: Annotated[int, Field(ge=0, le=10_000)]
    seconds: Annotated[float, Field(ge=0)]


def write(path: Path, parts: Mapping[str, Mapping[str, Tensor]], head: Head) -> None:
    """Replace the file in one step. Raises ResultsError where the disk does not take it."""
    tensors = {  # cloned, because a graph may have one tensor under two names, which the format refuses
        f"{part}.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for part in PARTS
        for name, tensor in parts[part].items()
    }
    write_file(path, safetensors.torch.save(tensors, {_KEY: head.model_dump_json()}))


def read(path: Path) -> tuple[Head, dict[str, dict[str, Tensor]]]:
    """What was written. Raises ModelError where the file is damaged or none of these."""
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    try:
        with safe_open(path, framework="pt") as file:
            head = Head.model_validate(json.loads((file.metadata() or {})[_KEY]))
            for key in file.keys():  # noqa: SIM118 - no mapping
                part, _, name = key.partition(".")
                parts[part][name] = file.get_tensor(key)
    except (OSError, SafetensorError, KeyError, ValueError, ValidationError) as error:
        raise ModelError(f"{path}: not the state of a training ({error}); remove it and begin anew") from error
    return head, parts


def fill(path: Path, target: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copy tensors over those of the same names. Raises ModelError where names, shapes or types differ."""
    different = [
        name
        for name in {**target, **source}
        if name not in target
        or name not in source
        or (target[name].shape, target[name].dtype) != (source[name].shape, source[name].dtype)
    ]
    if different:
        raise ModelError(f"{path}: does not fit the network at {sorted(different)[0]}; remove it and begin anew")
    with torch.no_grad():
        for name, tensor in source.items():
            target[name].copy_(tensor)
