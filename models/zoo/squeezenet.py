"""SqueezeNet: Fire modules, no batch normalization, no fully connected layer.

Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
arXiv:1602.07360, Table 1 (version 1.0); version 1.1 is from the authors' repository (forresti/SqueezeNet).
"""

import torch
from torch import Tensor, nn

# One row per layer after the stem: "pool", or the Fire module's s1x1, e1x1, e3x3.
Row = str | tuple[int, int, int]
V1_0: tuple[Row, ...] = (
    "pool",
    (16, 64, 64),
    (16, 64, 64),
    (32, 128, 128),
    "pool",
    (32, 128, 128),
    (48, 192, 192),
    (48, 192, 192),
    (64, 256, 256),
    "pool",
    (64, 256, 256),
)
V1_1: tuple[Row, ...] = (
    "pool",
    (16, 64, 64),
    (16, 64, 64),
    "pool",
    (32, 128, 128),
    (32, 128, 128),
    "pool",
    (48, 192, 192),
    (48, 192, 192),
    (64, 256, 256),
    (64, 256, 256),
)


class Fire(nn.Module):
    """Squeeze to `s1x1` channels, expand by 1x1 and by 3x3 convolutions, concatenate in this order."""

    def __init__(self, in_channels: int, s1x1: int, e1x1: int, e3x3: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(in_channels, s1x1, 1), nn.ReLU())
        self.expand1x1 = nn.Sequential(nn.Conv2d(s1x1, e1x1, 1), nn.ReLU())
        self.expand3x3 = nn.Sequential(nn.Conv2d(s1x1, e3x3, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1)


class SqueezeNet(nn.Module):
    """Pools round their output size up, as Caffe does; no layer before the Fire modules is padded."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        stem: int,
        stem_kernel: int,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_chans, stem, stem_kernel, stride=2), nn.ReLU()]
        channels = stem
        for row in rows:
            if isinstance(row, str):
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            else:
                layers.append(Fire(channels, *row))
                channels = row[1] + row[2]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv2d(channels, num_classes, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def squeezenet_1_0(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> SqueezeNet:
    """Table 1 of the paper: a 7x7 stem of 96 channels, pools after conv1, fire4 and fire8."""
    return SqueezeNet(V1_0, 96, 7, num_classes, in_chans, dropout)


def squeezenet_1_1(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> SqueezeNet:
    """A 3x3 stem of 64 channels and earlier pools: less than half the multiply-adds of version 1.0."""
    return SqueezeNet(V1_1, 64, 3, num_classes, in_chans, dropout)
