"""ESPNetv2: parallel depthwise dilated convolutions, summed from the smallest field of view to the largest.

Mehta et al. 2018, "ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional Neural Network",
arXiv:1811.11431, Figures 1 and 2. As in the authors' release (EdgeNets) some parameters are registered
and never used: the last activation of every strided unit and the image shortcut of the fourth.
"""

import math
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, ConvBNPReLU, PooledClassifier

BRANCHES = 4
REPEATS = (0, 3, 7, 3)
# The largest field of view of a branch, in pixels, in the strided unit of each stage and in its other units.
DOWN_LIMITS = (13, 11, 9, 7)
LIMITS = (None, 9, 7, 5)
STEM = 32


class EESP(nn.Module):
    """Extremely efficient spatial pyramid: grouped 1x1, four dilated depthwise 3x3, sums, grouped 1x1.

    Branch i sees at least the field of view of branch i - 1; a branch beyond `limit` falls back to no dilation.
    A `linear` unit, of stride 2, leaves identity and activation to the `DownSampler` around it.
    """

    def __init__(self, in_channels: int, out_channels: int, limit: int, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        branch = out_channels // BRANCHES
        self.reduce = ConvBNPReLU(in_channels, branch, groups=BRANCHES)
        dilations = sorted(i if 2 * i + 1 <= limit else 1 for i in range(1, BRANCHES + 1))
        self.branches = nn.ModuleList(
            nn.Conv2d(branch, branch, 3, stride, dilation, dilation, groups=branch, bias=False)
            for dilation in dilations
        )
        self.norm = nn.Sequential(nn.BatchNorm2d(out_channels), nn.PReLU(out_channels))
        self.expand = ConvBNAct(out_channels, out_channels, groups=BRANCHES, activation=None)
        self.activation = nn.PReLU(out_channels)
        self.linear = linear
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        pyramid = list(accumulate((branch(reduced) for branch in self.branches), torch.add))
        y: Tensor = self.expand(self.norm(torch.cat(pyramid, dim=1)))
        if not self.linear:
            y = self.activation(y + x if self.skip else y)
        return y


class DownSampler(nn.Module):
    """The pooled input before a strided pyramid unit, plus a projection of the pooled image."""

    def __init__(self, in_channels: int, out_channels: int, limit: int, in_chans: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.pyramid = EESP(in_channels, out_channels - in_channels, limit, stride=2, linear=True)
        self.shortcut = nn.Sequential(
            ConvBNPReLU(in_chans, in_chans, 3), ConvBNAct(in_chans, out_channels, activation=None)
        )
        self.activation = nn.PReLU(out_channels)

    def forward(self, x: Tensor, image: Tensor | None) -> Tensor:
        joined = torch.cat((self.pool(x), self.pyramid(x)), dim=1)
        if image is not None:
            joined = joined + self.shortcut(image)
        y: Tensor = self.activation(joined)
        return y


class ESPNetv2(nn.Module):
    """`width` scales every layer but the last convolution; the stem never exceeds 32 channels."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        base = math.ceil(int(STEM * width) / BRANCHES) * BRANCHES
        channels = min(STEM, base)
        if (2 * base - channels) % BRANCHES**2:
            raise ValueError(
                f"a width of {width} leaves {2 * base - channels} channels for {BRANCHES} x {BRANCHES} groups"
            )
        self.stem = ConvBNPReLU(in_chans, channels, 3, 2)
        self.downs = nn.ModuleList()
        self.stages = nn.ModuleList()
        for index, repeats in enumerate(REPEATS):
            out = base * 2 ** (index + 1)
            self.downs.append(DownSampler(channels, out, DOWN_LIMITS[index], in_chans))
            limit = LIMITS[index]
            units = [] if limit is None else [EESP(out, out, limit) for _ in range(repeats)]
            self.stages.append(nn.Sequential(*units))
            channels = out
        head = 1024 if width <= 1.5 else 1280
        self.last = nn.Sequential(
            ConvBNPReLU(channels, channels, 3, groups=channels), ConvBNPReLU(channels, head, groups=BRANCHES)
        )
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        image = _pooled(x)
        y = self.stem(x)
        last = len(self.downs) - 1
        for index, (down, stage) in enumerate(zip(self.downs, self.stages, strict=True)):
            image = _pooled(image) if index < last else image
            y = stage(down(y, image if index < last else None))
        logits: Tensor = self.classifier(self.last(y))
        return logits


def _pooled(image: Tensor) -> Tensor:
    """The image at half the resolution, averages of 3x3 pixels."""
    return F.avg_pool2d(image, 3, stride=2, padding=1)
