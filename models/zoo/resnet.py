"""ResNet-50: bottlenecks with an identity or a projection added.

He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, Table 1. The stride is in the 3x3
convolution, as in torchvision ("v1.5"); the paper has it in the first 1x1, which `stride_first` chooses.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, SqueezeExcite

EXPANSION = 4
STEM = 64
REPEATS_50 = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1x1, 3x3, linear 1x1 to four times the width, optional squeeze-and-excitation, addition, ReLU."""

    def __init__(self, in_channels: int, width: int, stride: int, stride_first: bool, reduction: int | None) -> None:
        super().__init__()
        out = EXPANSION * width
        self.layers = nn.Sequential(
            ConvBNAct(in_channels, width, 1, stride if stride_first else 1),
            ConvBNAct(width, width, 3, 1 if stride_first else stride),
            ConvBNAct(width, out, activation=None),
        )
        if stride == 1 and in_channels == out:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = ConvBNAct(in_channels, out, 1, stride, activation=None)
        self.excite = nn.Identity() if reduction is None else SqueezeExcite(out, out // reduction)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y, shortcut = self.layers(x), self.shortcut(x)
        joined: Tensor = self.activation(self.excite(y) + shortcut)
        return joined


class ResNet(nn.Module):
    """Bottlenecks in four stages of `repeats`; `ceil_pool` pools as Caffe does instead of with padding.

    `reduction` adds squeeze-and-excitation to every bottleneck.
    """

    def __init__(
        self,
        repeats: tuple[int, ...],
        stride_first: bool = False,
        ceil_pool: bool = False,
        reduction: int | None = None,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, stride=2, ceil_mode=True) if ceil_pool else nn.MaxPool2d(3, stride=2, padding=1)
        layers: list[nn.Module] = [ConvBNAct(in_chans, STEM, 7, 2), pool]
        channels = STEM
        for stage, count in enumerate(repeats):
            width = STEM * 2**stage
            for repeat in range(count):
                stride = 2 if stage > 0 and repeat == 0 else 1
                layers.append(Bottleneck(channels, width, stride, stride_first, reduction))
                channels = EXPANSION * width
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def resnet50(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> ResNet:
    """The 50-layer column of Table 1."""
    return ResNet(REPEATS_50, num_classes=num_classes, in_chans=in_chans, dropout=dropout)
