"""Inception V3: factorized convolutions in parallel branches.

Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567, Table 1 and
Figures 5 to 7, in the layers of torchvision, without the auxiliary head.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import PooledClassifier

EPS = 1e-3
Kernel = int | tuple[int, int]


class ConvBNReLU(nn.Sequential):
    """`pad` keeps the size at stride 1; the layers of stride 2 and of the stem are mostly not padded."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel = 1, stride: int = 1, pad: bool = True
    ) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if pad else 0
        super().__init__(
            nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=False),
            nn.BatchNorm2d(out_channels, eps=EPS),
            nn.ReLU(),
        )


class Parallel(nn.Module):
    """Branches that see the same input, concatenated in their order."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class InceptionV3(nn.Module):
    def __init__(self, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBNReLU(in_chans, 32, 3, 2, pad=False),
            ConvBNReLU(32, 32, 3, pad=False),
            ConvBNReLU(32, 64, 3),
            nn.MaxPool2d(3, stride=2),
            ConvBNReLU(64, 80),
            ConvBNReLU(80, 192, 3, pad=False),
            nn.MaxPool2d(3, stride=2),
            _grid_35(192, 32),
            _grid_35(256, 64),
            _grid_35(288, 64),
            Parallel(
                ConvBNReLU(288, 384, 3, 2, pad=False),
                nn.Sequential(ConvBNReLU(288, 64), ConvBNReLU(64, 96, 3), ConvBNReLU(96, 96, 3, 2, pad=False)),
                nn.MaxPool2d(3, stride=2),
            ),
            *(_grid_17(width) for width in (128, 160, 160, 192)),
            Parallel(
                nn.Sequential(ConvBNReLU(768, 192), ConvBNReLU(192, 320, 3, 2, pad=False)),
                nn.Sequential(
                    ConvBNReLU(768, 192),
                    ConvBNReLU(192, 192, (1, 7)),
                    ConvBNReLU(192, 192, (7, 1)),
                    ConvBNReLU(192, 192, 3, 2, pad=False),
                ),
                nn.MaxPool2d(3, stride=2),
            ),
            _grid_8(1280),
            _grid_8(2048),
        )
        self.classifier = PooledClassifier(2048, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _grid_35(in_channels: int, projected: int) -> Parallel:
    """Figure 5: 1x1; 5x5; two 3x3; pool."""
    return Parallel(
        ConvBNReLU(in_channels, 64),
        nn.Sequential(ConvBNReLU(in_channels, 48), ConvBNReLU(48, 64, 5)),
        nn.Sequential(ConvBNReLU(in_channels, 64), ConvBNReLU(64, 96, 3), ConvBNReLU(96, 96, 3)),
        nn.Sequential(_pool(), ConvBNReLU(in_channels, projected)),
    )


def _grid_17(width: int) -> Parallel:
    """Figure 6: 1x1; 7x7 as 1x7 and 7x1; two of these; pool."""
    return Parallel(
        ConvBNReLU(768, 192),
        nn.Sequential(ConvBNReLU(768, width), ConvBNReLU(width, width, (1, 7)), ConvBNReLU(width, 192, (7, 1))),
        nn.Sequential(
            ConvBNReLU(768, width),
            ConvBNReLU(width, width, (7, 1)),
            ConvBNReLU(width, width, (1, 7)),
            ConvBNReLU(width, width, (7, 1)),
            ConvBNReLU(width, 192, (1, 7)),
        ),
        nn.Sequential(_pool(), ConvBNReLU(768, 192)),
    )


def _grid_8(in_channels: int) -> Parallel:
    """Figure 7: 1x1; 1x3 beside 3x1; these two after a 3x3; pool."""
    return Parallel(
        ConvBNReLU(in_channels, 320),
        nn.Sequential(ConvBNReLU(in_channels, 384), _cross()),
        nn.Sequential(ConvBNReLU(in_channels, 448), ConvBNReLU(448, 384, 3), _cross()),
        nn.Sequential(_pool(), ConvBNReLU(in_channels, 192)),
    )


def _cross() -> Parallel:
    return Parallel(ConvBNReLU(384, 384, (1, 3)), ConvBNReLU(384, 384, (3, 1)))


def _pool() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1)
