"""Labeled images in memory, and the batches that training and evaluation draw from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.datasets.base import Dataset
from models.errors import ModelError
from models.train.recipe import Recipe

_MAX_BYTES = 8 << 30


@dataclass(frozen=True)
class Examples:
    """Images as uint8 (number, channels, height, width), one channel where all are grey, and labels as int64."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ModelError(f"images must be uint8 of four axes, not {self.images.dtype} of {self.images.ndim}")
        if self.labels.shape != self.images.shape[:1]:
            raise ModelError(f"{len(self.images)} images with {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Examples:
        """The same on another device."""
        return Examples(self.images.to(device), self.labels.to(device))


def examples_of(dataset: Dataset, recipe: Recipe) -> Examples:
    """A data set in memory, prepared for a recipe. Raises UnreadableDataset, ModelError where it is too large."""
    size, preprocessing = recipe.size, recipe.preprocessing
    is_grey = (pixels := dataset.arrays()) is not None and pixels.ndim == 3
    shape = (len(dataset), 1 if is_grey else 3, size, size)
    if math.prod(shape) > _MAX_BYTES:
        raise ModelError(
            f"{dataset.name}: {len(dataset)} images at {size} x {size} take over {_MAX_BYTES >> 30} GiB of memory; "
            "train at a smaller resolution (NAME@48)"
        )
    images = np.empty(shape, np.uint8)
    for index, load in dataset.samples(range(len(dataset))):
        images[index] = preprocessing.apply(load().picture)[:, :, : shape[1]].transpose(2, 0, 1)
    return Examples(torch.from_numpy(images), torch.from_numpy(dataset.labels.astype(np.int64)))


def epoch_of(
    examples: Examples, recipe: Recipe, generator: torch.Generator, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented batches of one epoch, in an order drawn from `generator`; what fills no batch is left out."""
    count = len(examples)
    order = torch.randperm(count, generator=generator)
    for begin in range(0, max(count - recipe.batch, 0) + 1, recipe.batch):
        chosen = order[begin : begin + recipe.batch].to(examples.images.device)
        yield augmented(examples.images[chosen], recipe, generator, size), examples.labels[chosen]


def steps_of(examples: Examples, recipe: Recipe) -> int:
    """The batches of one epoch."""
    return max(len(examples) // recipe.batch, 1)


def augmented(images: Tensor, recipe: Recipe, generator: torch.Generator, size: int) -> Tensor:
    """Shift each uint8 image by its own offset (black comes in), mirror some, normalize, resize to `size`."""
    count, _, height, width = images.shape
    shift = round(recipe.shift * height)
    offsets = torch.randint(0, 2 * shift + 1, (2, count, 1, 1), generator=generator).to(images.device)
    mirrored = (torch.rand(count, 1, 1, generator=generator) < recipe.flip).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)[None, :, None]
    across = torch.arange(width, device=images.device)[None, None, :]
    columns = offsets[1] + torch.where(mirrored, width - 1 - across, across)
    padded = functional.pad(images, (shift, shift, shift, shift))
    which = torch.arange(count, device=images.device)[:, None, None]
    # Advanced indexing brings the channels last, which is how the network wants them in memory.
    moved = padded.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)
    if size == height:
        return normalized(moved, recipe)
    # Before grey becomes three channels: it is cheaper.
    return normalized(functional.interpolate(moved.float(), size=(size, size), mode="bilinear"), recipe)


def normalized(images: Tensor, recipe: Recipe) -> Tensor:
    """Images of 0 to 255 as float32 with the recipe's mean and deviation; a grey channel becomes as many as these."""
    mean, std = (torch.tensor(values, device=images.device).view(1, -1, 1, 1) for values in (recipe.mean, recipe.std))
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(module: torch.nn.Module, examples: Examples, recipe: Recipe, batch: int = 256) -> Tensor:
    """Logits (number, classes) of a module in evaluation mode, in float32, on the CPU."""
    module.eval()
    parts = [module(normalized(part, recipe)).float().cpu() for part in examples.images.split(batch)]
    return torch.cat(parts)


def correct(module: torch.nn.Module, examples: Examples, recipe: Recipe) -> int:
    """How many of the examples the module in evaluation mode gets right."""
    return int((predict(module, examples, recipe).argmax(1) == examples.labels.cpu()).sum())
