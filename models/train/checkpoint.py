"""A trained network in one file: its weights as safetensors, and in the same file how to build it and what it is worth.

Reading what a checkpoint is needs no PyTorch; reading its weights does. Nothing of a file is executed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open

import models
from models.errors import ModelError, UnreadableModel
from models.optimize import table as optimizations
from models.optimize.base import Applied
from models.train.needs import require_torch
from models.train.recipe import Recipe
from models.zoo import catalog
from results.files import write_file
from results.records import Accuracy, Record, Sha256, Text, Word

if TYPE_CHECKING:
    from torch import Tensor, nn

_KEY = "edgebench"  # one entry: the format writes several in any order
_MAX_BYTES = 1 << 30
_MAX_DESCRIPTION_BYTES = 32 << 20

Count = Annotated[int, Field(ge=0, le=2**31)]


class Tested(Record):
    """How many images of a data set a network got right: its float32 arithmetic in PyTorch, the weights as stored."""

    dataset: Text
    split: Word
    sha256: Sha256
    images: Annotated[int, Field(ge=1, le=2**31)]
    correct: Count

    @property
    def accuracy(self) -> Accuracy:
        """As a figure of the checkpoint's own, in percent."""
        return Accuracy(
            value=round(100 * self.correct / self.images, 4),
            dataset=f"{self.dataset} {self.split}".rstrip(),
            kind="published",
            source="the checkpoint: PyTorch in fp32",
            samples=self.images,
        )


class Trained(Record):
    """What a checkpoint says of itself, enough to build its network and to feed it.

    `model` is the zoo's name of the network with its resolution, `classes` are in the order of the outputs, `dataset`
    with `split` and `sha256` are the images it was trained on, `teacher` is the hash of the checkpoint it learned from.
    `start` is that of the checkpoint its training began with, and `applied` what was done to the network of the zoo.
    """

    model: Text
    classes: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100_000)]
    recipe: Recipe
    dataset: Text
    split: Word
    sha256: Sha256
    images: Count
    tested: Tested | None = None
    teacher: Sha256 | None = None
    start: Sha256 | None = None
    applied: Annotated[tuple[Applied, ...], Field(max_length=8)] = ()
    software: Annotated[dict[Word, Word], Field(max_length=16)] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name with what was done to it. Raises ModelError where that is nothing known here."""
        return optimizations.join(self.model, optimizations.transformations(self.applied))

    @property
    def variant(self) -> catalog.Variant:
        """The zoo's variant. Raises UnknownModel."""
        return catalog.get(self.model)

    def network(self) -> nn.Module:
        """The network without its weights. Raises ModelError."""
        network = models.create(self.model, num_classes=len(self.classes))
        optimizations.rebuild(network, self.applied)
        return network


def describe(path: Path) -> Trained:
    """What a checkpoint says of itself. Raises UnreadableModel for a file that is none, or a damaged one."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableModel(f"{path}: larger than {_MAX_BYTES >> 30} GiB; no checkpoint of the zoo is")
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (OSError, SafetensorError) as error:
        raise UnreadableModel(f"{path}: cannot be read as a checkpoint ({_cause(error)})") from error
    if text is None or len(text) > _MAX_DESCRIPTION_BYTES:
        raise UnreadableModel(f"{path}: not a checkpoint of `bench train`: it does not say what it is (key {_KEY})")
    try:
        trained = Trained.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(f"{path}: what it says of itself is damaged: {_first(error)}") from error
    variant = _variant(trained, path)
    if variant.resolution != trained.recipe.size:
        raise UnreadableModel(f"{path}: what it says of itself is damaged: it contradicts itself about its images")
    return trained


def load(path: Path) -> tuple[nn.Module, Trained]:
    """The network of a checkpoint with its weights, in evaluation mode and float32, and what the file says of it.

    Raises UnreadableModel where the file is damaged or a tensor of it does not fit the network exactly.
    """
    trained = describe(path)
    require_torch()
    import torch

    module = trained.network()
    expected = module.state_dict()
    state: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                shape = tuple(file.get_slice(name).get_shape())
                if name not in expected or shape != tuple(expected[name].shape):
                    raise UnreadableModel(f"{path}: does not fit {trained.model}: {name} of shape {shape}")
                state[name] = file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise UnreadableModel(f"{path}: cannot be read as a checkpoint ({_cause(error)})") from error
    for name, like in expected.items():
        found = state.get(name)
        if found is None or found.is_floating_point() != like.is_floating_point():
            raise UnreadableModel(f"{path}: does not fit {trained.model}: no {name} of type {like.dtype}")
        if not bool(torch.isfinite(found).all()):
            raise UnreadableModel(f"{path}: damaged: {name} holds what is no finite number")
        state[name] = found.to(like.dtype)
    module.load_state_dict(state, strict=True)
    return module.eval(), trained


def write(path: Path, module: nn.Module, trained: Trained, *, half: bool) -> None:
    """Replace the file in one step by one with the weights of `module`; `half` as `rounded`. Raises ResultsError."""
    import safetensors.torch

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    stored = {name: _half(tensor) if half else tensor for name, tensor in state.items()}
    write_file(path, safetensors.torch.save(stored, {_KEY: trained.model_dump_json()}))


def rounded(module: nn.Module) -> nn.Module:
    """A copy of the module with the weights that a checkpoint in float16 keeps of it.

    Kernels and matrices alone are rounded: the vectors (biases, statistics) weigh little and have a wider range.
    """
    from copy import deepcopy

    copy = deepcopy(module)
    copy.load_state_dict({name: _half(tensor).to(tensor.dtype) for name, tensor in module.state_dict().items()})
    return copy


def _half(tensor: Tensor) -> Tensor:
    import torch

    return tensor.half() if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor


def _variant(trained: Trained, path: Path) -> catalog.Variant:
    try:
        _ = trained.name
        return trained.variant
    except ModelError as error:
        raise UnreadableModel(f"{path}: of a network that is not in the zoo: {error}") from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).partition("\n")[0][:200]


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return _cause(error)
