"""EfficientNet: width, depth and resolution scaled together.

Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv:1905.11946,
Table 1 (B0); squeeze-and-excitation and the rounding of scaled widths follow the authors' release (tensorflow/tpu,
models/official/efficientnet). Drop-connect acts in training alone and is absent.
"""

import math
from collections.abc import Callable

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, SqueezeExcite, make_divisible

Row = tuple[int, int, int, int, int]

# One row per stage, as in Table 1: kernel, stride of the first layer, expansion, output channels, layers.
STAGES: tuple[Row, ...] = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM = 32
HEAD = 1280


def mbconv(in_channels: int, expansion: int, out_channels: int, kernel: int, stride: int) -> InvertedResidual:
    """Inverted residual with Swish and a gate reduced to a quarter of the block's input (not the expanded) width."""
    expanded = expansion * in_channels
    excite = SqueezeExcite(expanded, max(1, in_channels // 4), activation=nn.SiLU)
    return InvertedResidual(in_channels, expanded, out_channels, kernel, stride, nn.SiLU, excite)


class FusedMBConv(nn.Module):
    """3x3 expansion, linear 1x1 projection, identity where stride and widths allow it.

    With an expansion of 1 the 3x3 convolution is the only one and keeps its activation.
    """

    def __init__(self, in_channels: int, expansion: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        if expansion == 1:
            self.layers = nn.Sequential(ConvBNAct(in_channels, out_channels, kernel, stride, activation=nn.SiLU))
        else:
            expanded = expansion * in_channels
            self.layers = nn.Sequential(
                ConvBNAct(in_channels, expanded, kernel, stride, activation=nn.SiLU),
                ConvBNAct(expanded, out_channels, activation=None),
            )
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class EfficientNet(nn.Module):
    """`width` scales every layer, stem and head included; `depth` the layers of each stage, rounded up.

    `rounded` makes a number of channels of a scaled one. The first `fused` stages have no depthwise convolutions.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
        rows: tuple[Row, ...] = STAGES,
        fused: int = 0,
        stem: int = STEM,
        rounded: Callable[[float], int] = make_divisible,
    ) -> None:
        super().__init__()
        channels = rounded(stem * width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.SiLU)]
        for stage, (kernel, first_stride, expansion, paper_out, repeats) in enumerate(rows):
            block: Callable[..., nn.Module] = FusedMBConv if stage < fused else mbconv
            out = rounded(paper_out * width)
            for repeat in range(math.ceil(repeats * depth)):
                layers.append(block(channels, expansion, out, kernel, first_stride if repeat == 0 else 1))
                channels = out
        head = rounded(HEAD * width)
        layers.append(ConvBNAct(channels, head, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
