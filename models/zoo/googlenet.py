"""GoogLeNet: Inception modules of four parallel branches.

Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, Table 1, in the layers of torchvision: batch
normalization instead of response normalization, 3x3 instead of 5x5 kernels, no auxiliary heads.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import PooledClassifier

EPS = 1e-3
# One row per module, as in the paper: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj; or a pool's kernel.
ROWS: tuple[tuple[int, int, int, int, int, int] | int, ...] = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    3,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    2,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


class ConvBNReLU(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels, eps=EPS),
            nn.ReLU(),
        )


class Inception(nn.Module):
    """1x1, two 1x1-3x3 branches and pool-1x1, concatenated in this order."""

    def __init__(self, in_channels: int, row: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        direct, reduce3, out3, reduce5, out5, projected = row
        self.branches = nn.ModuleList(
            (
                ConvBNReLU(in_channels, direct),
                nn.Sequential(ConvBNReLU(in_channels, reduce3), ConvBNReLU(reduce3, out3, 3)),
                nn.Sequential(ConvBNReLU(in_channels, reduce5), ConvBNReLU(reduce5, out5, 3)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBNReLU(in_channels, projected)),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class GoogLeNet(nn.Module):
    """Pools round their output size up."""

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            ConvBNReLU(in_chans, 64, 7, 2),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            ConvBNReLU(64, 64),
            ConvBNReLU(64, 192, 3),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
        ]
        channels = 192
        for row in ROWS:
            if isinstance(row, int):
                layers.append(nn.MaxPool2d(row, stride=2, ceil_mode=True))
            else:
                layers.append(Inception(channels, row))
                channels = row[0] + row[2] + row[4] + row[5]
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
