"""How a network is trained: everything that decides which weights come out, besides the network and the data.

Nothing here needs PyTorch.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from models.preprocessing import Preprocessing
from results.records import Record

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Level = Annotated[float, Field(gt=0, le=1)]
Pixels = Annotated[int, Field(ge=8, le=1024)]

FINE_TUNING = {"epochs": 2, "warm_up_epochs": 0.2, "small_share": 0.0}
"""Of a training that begins with trained weights: short, at the size that they know, at `optimize.table.rate`."""


class Recipe(Record):
    """SGD with Nesterov momentum under a warm-up and one cosine, label smoothing, crops, flips, averaged weights.

    `size` is the side of the images in pixels; the first `small_share` of the epochs sees them at `small_size`, which
    is cheaper and hardly less instructive (Tan and Le 2021, arXiv:2104.00298, section 4). `rate` is the highest
    learning rate, reached after `warm_up_epochs`, and falls along half a cosine to zero (Loshchilov and Hutter 2016,
    arXiv:1608.03983). Weight decay spares normalizations and biases. `smoothing` is Szegedy et al. 2015
    (arXiv:1512.00567, section 7). Crops move by up to `shift` of the side; `flip` is the share of mirrored images.
    `averaging` is the decay a step of the moving average of all weights and statistics, 0 for the last weights.
    `bf16` computes forward passes in bfloat16 where PyTorch thinks it safe. With a teacher, `teaching` weighs the
    divergence of the softened outputs at `temperature` against the labels (Hinton et al. 2015, arXiv:1503.02531).
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    batch: Annotated[int, Field(ge=2, le=65_536)] = 128
    size: Pixels = 48
    small_size: Pixels = 32
    small_share: Share = 0.5
    rate: Positive = 0.1
    warm_up_epochs: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 5e-4
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0833
    flip: Share = 0.5
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.998
    bf16: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    mean: tuple[Share, Share, Share] = (0.5, 0.5, 0.5)
    std: tuple[Level, Level, Level] = (0.5, 0.5, 0.5)
    temperature: Positive = 4.0
    teaching: Share = 0.5

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image becomes the network's input, besides crops and flips in training."""
        return Preprocessing(resize=self.size, crop=self.size, mean=self.mean, std=self.std)

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of `step` of `steps` an epoch, counted from 0 over all epochs."""
        done = (step + 1) / steps
        if done < self.warm_up_epochs:
            return self.rate * done / self.warm_up_epochs
        span = max(self.epochs - self.warm_up_epochs, 1e-9)
        return self.rate * 0.5 * (1 + math.cos(math.pi * min((done - self.warm_up_epochs) / span, 1.0)))

    def decay_at(self, step: int) -> float:
        """The decay of the average at `step`: shorter in the beginning, which forgets the random weights."""
        return min(self.averaging, (1 + step) / (10 + step))

    def size_at(self, epoch: int) -> int:
        """The side of the images in `epoch`, counted from 0."""
        return min(self.small_size, self.size) if epoch < int(self.small_share * self.epochs) else self.size
