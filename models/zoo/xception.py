"""Xception: depthwise separable convolutions with residual connections.

Chollet 2016, "Xception: Deep Learning with Depthwise Separable Convolutions", arXiv:1610.02357, Figure 5.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier

# One row per block: output channels of its separable convolutions, stride.
BLOCKS = (
    ((128, 128), 2),
    ((256, 256), 2),
    ((728, 728), 2),
    *(((728, 728, 728), 1),) * 8,
    ((728, 1024), 2),
)
EXIT = (1536, 2048)


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 and 1x1 with nothing between, then normalization."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )


class Block(nn.Module):
    """ReLU before each separable convolution (the first block: not before its first), pool at stride 2, addition."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], stride: int, activate_first: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for index, width in enumerate(widths):
            if activate_first or index > 0:
                layers.append(nn.ReLU())
            layers.append(SeparableConv(channels, width))
            channels = width
        if stride == 2:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)
        if stride == 1 and channels == in_channels:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = ConvBNAct(in_channels, channels, 1, stride, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x) + self.shortcut(x)
        return y


class Xception(nn.Module):
    """The two first convolutions are not padded."""

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_chans, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        ]
        channels = 64
        for index, (widths, stride) in enumerate(BLOCKS):
            layers.append(Block(channels, widths, stride, activate_first=index > 0))
            channels = widths[-1]
        for width in EXIT:
            layers.extend((SeparableConv(channels, width), nn.ReLU()))
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
