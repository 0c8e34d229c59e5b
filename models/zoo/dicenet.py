"""DiCENet: convolutions over all three dimensions of a feature map, fused by a gated grouped convolution.

Mehta et al. 2019, "DiCENet: Dimension-wise Convolutions for Efficient Networks", arXiv:1906.03516; the
widths, the groups and the order of concatenation are those of the authors' release (EdgeNets).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import ConvBNPReLU, channel_shuffle

# One row per width: output channels of the stem and of stages 1, 2 and 3.
WIDTHS = {
    0.2: (16, 32, 64, 128),
    0.5: (24, 48, 96, 192),
    0.75: (24, 86, 172, 344),
    1.0: (24, 116, 232, 464),
    1.25: (24, 144, 288, 576),
    1.5: (24, 176, 352, 704),
    1.75: (24, 210, 420, 840),
    2.0: (24, 244, 488, 976),
}
REPEATS = (3, 7, 3)
HEAD = 1024


class AxisConv(nn.Module):
    """Depthwise 3x3 convolution with rows (`axis` 2) or columns (3) in the place of the channels.

    There is one filter for each of `size` rows or columns; a feature map with another number is resized to that
    number before (interpolated to grow, averaged to shrink) and back after.
    """

    def __init__(self, axis: int, size: int) -> None:
        super().__init__()
        self.axis = axis
        self.size = size
        self.conv = nn.Conv2d(size, size, 3, padding=1, groups=size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[self.axis]
        y = self._resized(x, self.size).transpose(1, self.axis)
        return self._resized(self.conv(y).transpose(1, self.axis), size)

    def _resized(self, x: Tensor, size: int) -> Tensor:
        if x.shape[self.axis] == size:
            return x
        shape = (size, x.shape[3]) if self.axis == 2 else (x.shape[2], size)
        if x.shape[self.axis] < size:
            return F.interpolate(x, shape, mode="bilinear", align_corners=True)
        return F.adaptive_avg_pool2d(x, shape)


class DimensionFusion(nn.Module):
    """Dimension-wise convolutions (channels, rows, columns), a weighted mean of the three, gated projection."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channelwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.columnwise = AxisConv(3, size)
        self.rowwise = AxisConv(2, size)
        self.norm = nn.Sequential(nn.BatchNorm2d(3 * channels), nn.PReLU(3 * channels))
        self.merge = ConvBNPReLU(3 * channels, channels, groups=channels)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.project = ConvBNPReLU(channels, channels, 3, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        dimensions = torch.cat((self.channelwise(x), self.rowwise(x), self.columnwise(x)), dim=1)
        merged = self.merge(channel_shuffle(self.norm(dimensions), 3))
        gate = self.gate(merged)
        return torch.mul(self.project(merged), gate)


class DownUnit(nn.Module):
    """Stride 2: a depthwise separable branch and a dimension-wise one behind an average pool, shuffled together."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.left = nn.Sequential(
            ConvBNPReLU(channels, channels, 3, 2, groups=channels), ConvBNPReLU(channels, channels)
        )
        self.right = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1), DimensionFusion(channels, size), ConvBNPReLU(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(torch.cat((self.left(x), self.right(x)), dim=1), 2)


class BasicUnit(nn.Module):
    """Stride 1: the first half of the input passes, the second makes the remaining output channels."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.passed = round(in_channels / 2)
        made = out_channels - self.passed
        self.branch = nn.Sequential(ConvBNPReLU(in_channels - self.passed, made), DimensionFusion(made, size))

    def forward(self, x: Tensor) -> Tensor:
        passed, rest = x[:, : self.passed], x[:, self.passed :]
        return channel_shuffle(torch.cat((passed, self.branch(rest)), dim=1), 2)


class DiCENet(nn.Module):
    """`width` is one of the eight of the release.

    `resolution` is the side of the images that the row and column filters are made for. Images of other sizes
    pass as well, with the same parameters: around these filters their features are resized.
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        resolution: int = 224,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"DiCENet is defined for the widths {sorted(WIDTHS)}, not {width}")
        channels, *stages = WIDTHS[width]
        layers: list[nn.Module] = [ConvBNPReLU(in_chans, channels, 3, 2), nn.MaxPool2d(3, stride=2, padding=1)]
        size = math.ceil(resolution / 4)
        for out, repeats in zip(stages, REPEATS, strict=True):
            size = math.ceil(size / 2)
            layers.append(DownUnit(channels, size))
            channels *= 2
            for _ in range(repeats):
                layers.append(BasicUnit(channels, out, size))
                channels = out
        self.features = nn.Sequential(*layers)
        if dropout is None:
            dropout = 0.2 if width > 1 else 0.1
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, HEAD, 1, groups=4, bias=False),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(HEAD, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
