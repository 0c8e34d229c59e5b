"""EdgeViT: local aggregation, attention among a sparse set of tokens, local propagation.

Pan et al. 2022, "EdgeViTs: Competing Light-weight CNNs on Mobile Devices with Vision Transformers", arXiv:2205.03436,
Table 1 and Figure 2; kernels and normalizations are those of the authors' release.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import attend


class Size(NamedTuple):
    """Blocks and channels of the four stages, and the channels of one attention head."""

    depths: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    head: int


SIZES = {
    "xxs": Size((1, 1, 3, 2), (36, 72, 144, 288), 36),
    "xs": Size((1, 1, 3, 1), (48, 96, 240, 384), 48),
    "s": Size((1, 2, 5, 3), (48, 96, 240, 384), 48),
}
PATCHES = (4, 2, 2, 2)
SAMPLING = (4, 2, 2, 1)
EXPANSION = 4
EPS = 1e-6


class PatchEmbedding(nn.Module):
    """Convolution of whole patches without overlap, then normalization over the channels."""

    def __init__(self, in_channels: int, channels: int, patch: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, patch, patch)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(x)
        return to_map(self.norm(to_tokens(y)), y.shape[2], y.shape[3])


class LocalAggregation(nn.Module):
    """Depthwise and pointwise convolutions in the form of a transformer layer, on the feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.aggregate = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels),
            nn.Conv2d(channels, channels, 1),
        )
        self.feed_forward = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, EXPANSION * channels, 1),
            nn.GELU(),
            nn.Conv2d(EXPANSION * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        x = x + self.aggregate(x)
        y: Tensor = x + self.feed_forward(x)
        return y


class Spread(nn.ConvTranspose2d):
    """Depthwise transposed convolution with its kernel as stride: each pixel becomes a patch of its own.

    It runs as a depthwise 1x1 convolution to one channel for each pixel of a patch, which is the same sum;
    converters to TFLite would split the transposed form into one operator per channel.
    """

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__(channels, channels, patch, patch, groups=channels)
        self.patch = patch

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """`output_size` is not needed: no two patches overlap."""
        batch, channels, height, width = x.shape
        patch = self.patch
        y = F.conv2d(x, self.weight.reshape(channels * patch * patch, 1, 1, 1), groups=channels)
        # Columns of a patch beside the columns of pixels, then its rows beside their rows; at most four axes.
        y = y.reshape(batch * channels * patch, patch, height * width).transpose(1, 2)
        y = y.reshape(batch * channels, patch, height, width * patch).transpose(1, 2)
        y = y.reshape(batch, channels, height * patch, width * patch)
        return y if self.bias is None else y + self.bias.reshape(channels, 1, 1)


class SparseAttention(nn.Module):
    """Attention among every `sampling`-th token in both directions, spread again by a transposed convolution."""

    def __init__(self, channels: int, head: int, sampling: int) -> None:
        super().__init__()
        self.heads = channels // head
        self.sampling = sampling
        self.qkv = nn.Linear(channels, 3 * channels)
        if sampling > 1:
            self.sample = nn.AvgPool2d(1, sampling)
            self.propagate = Spread(channels, sampling)
            self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        if self.sampling == 1:
            y = attend(self.qkv(tokens), self.heads)
        else:
            sampled = self.sample(to_map(tokens, height, width))
            attended = attend(self.qkv(to_tokens(sampled)), self.heads)
            spread = self.propagate(to_map(attended, sampled.shape[2], sampled.shape[3]))
            y = self.norm(to_tokens(spread[:, :, :height, :width]))
        projected: Tensor = self.project(y)
        return projected


class LocalGlobalLocal(nn.Module):
    """Local aggregation (where tokens are sampled), global sparse attention with local propagation, linear layers."""

    def __init__(self, channels: int, head: int, sampling: int) -> None:
        super().__init__()
        self.local = LocalAggregation(channels) if sampling > 1 else nn.Identity()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels, eps=EPS)
        self.attention = SparseAttention(channels, head, sampling)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, EXPANSION * channels), nn.GELU(), nn.Linear(EXPANSION * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.local(x)
        x = x + self.position(x)
        height, width = x.shape[2:]
        tokens = to_tokens(x)
        tokens = tokens + self.attention(self.norm1(tokens), height, width)
        tokens = tokens + self.feed_forward(self.norm2(tokens))
        return to_map(tokens, height, width)


class EdgeViT(nn.Module):
    """`size` is "xxs", "xs" or "s". A rest that does not fill a patch at the right and at the bottom is ignored."""

    def __init__(self, size: str = "xxs", num_classes: int = 1000, in_chans: int = 3) -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"EdgeViT is defined for the sizes {', '.join(SIZES)}, not {size!r}")
        depths, stages, head = SIZES[size]
        layers: list[nn.Module] = []
        channels = in_chans
        for out, depth, patch, sampling in zip(stages, depths, PATCHES, SAMPLING, strict=True):
            layers.append(PatchEmbedding(channels, out, patch))
            layers.extend(LocalGlobalLocal(out, head, sampling) for _ in range(depth))
            channels = out
        layers.append(nn.BatchNorm2d(channels))
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def to_tokens(x: Tensor) -> Tensor:
    """(batch, channels, height, width) to (batch, height * width, channels)."""
    return x.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """(batch, height * width, channels) to (batch, channels, height, width)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], height, width)
