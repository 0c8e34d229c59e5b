"""MobileViT: transformers over unfolded patches, between convolutions.

Mehta and Rastegari 2021, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer",
arXiv:2110.02178, Table 4 and Figure 1 (b).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, attend


class Size(NamedTuple):
    """Output channels of the stages, width of the transformers in the last three, expansion and head."""

    channels: tuple[int, int, int, int, int]
    widths: tuple[int, int, int]
    expansion: int
    head: int


SIZES = {
    "xxs": Size((16, 24, 48, 64, 80), (64, 80, 96), 2, 320),
    "xs": Size((32, 48, 64, 80, 96), (96, 120, 144), 4, 384),
    "s": Size((32, 64, 96, 128, 160), (144, 192, 240), 4, 640),
}
STEM = 16
REPEATS = (1, 3, 1, 1, 1)
STRIDES = (1, 2, 2, 2, 2)
DEPTHS = (2, 4, 3)
HEADS = 4
PATCH = 2


class TransformerLayer(nn.Module):
    """Attention among tokens, then two linear layers, each behind a normalization and beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(attend(self.qkv(self.norm1(x)), HEADS))
        y: Tensor = x + self.feed_forward(self.norm2(x))
        return y


class MobileViTBlock(nn.Module):
    """Figure 1 (b): local convolution, unfold, transformers, fold, fusion with the input.

    Each pixel attends to those at its own position in the other patches. A feature map of odd height or width is
    stretched to whole patches before the unfolding and back after the folding.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            ConvBNAct(channels, channels, 3, activation=nn.SiLU), nn.Conv2d(channels, width, 1, bias=False)
        )
        self.transformers = nn.Sequential(*(TransformerLayer(width) for _ in range(depth)), nn.LayerNorm(width))
        self.project = ConvBNAct(width, channels, activation=nn.SiLU)
        self.fuse = ConvBNAct(2 * channels, channels, 3, activation=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        y = self.local(x)
        height, width = y.shape[2:]
        rows, columns = -(-height // PATCH), -(-width // PATCH)
        y = _resized(y, (PATCH * rows, PATCH * columns))
        y = fold(self.transformers(unfold(y)), rows, columns)
        y = self.project(_resized(y, (height, width)))
        fused: Tensor = self.fuse(torch.cat((x, y), dim=1))
        return fused


class MobileViT(nn.Module):
    """`size` is "xxs", "xs" or "s". The images are BGR, with values from 0 to 1."""

    def __init__(self, size: str = "xxs", num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"MobileViT is defined for the sizes {', '.join(SIZES)}, not {size!r}")
        stages, widths, expansion, head = SIZES[size]
        layers: list[nn.Module] = [ConvBNAct(in_chans, STEM, 3, 2, activation=nn.SiLU)]
        channels = STEM
        for index, (out, repeats, stride) in enumerate(zip(stages, REPEATS, STRIDES, strict=True)):
            for repeat in range(repeats):
                s = stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, expansion * channels, out, 3, s, nn.SiLU))
                channels = out
            if index >= 2:
                layers.append(MobileViTBlock(channels, widths[index - 2], DEPTHS[index - 2]))
        layers.append(ConvBNAct(channels, head, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def unfold(x: Tensor) -> Tensor:
    """Feature map to tokens: (batch, channels, height, width) to (batch * positions in a patch, patches, channels).

    Positions and patches are both in reading order.
    """
    batch, channels, height, width = x.shape
    rows, columns = height // PATCH, width // PATCH
    x = x.reshape(batch * channels * rows, PATCH, columns, PATCH).transpose(1, 2)
    x = x.reshape(batch, channels, rows * columns, PATCH * PATCH).transpose(1, 3)
    return x.reshape(batch * PATCH * PATCH, rows * columns, channels)


def fold(x: Tensor, rows: int, columns: int) -> Tensor:
    """The inverse of `unfold`, for `rows` by `columns` patches."""
    area = PATCH * PATCH
    batch, channels = x.shape[0] // area, x.shape[2]
    x = x.reshape(batch, area, rows * columns, channels).transpose(1, 3)
    x = x.reshape(batch * channels * rows, columns, PATCH, PATCH).transpose(1, 2)
    return x.reshape(batch, channels, rows * PATCH, columns * PATCH)


def _resized(x: Tensor, shape: tuple[int, int]) -> Tensor:
    if tuple(x.shape[2:]) == shape:
        return x
    return F.interpolate(x, shape, mode="bilinear", align_corners=False)
