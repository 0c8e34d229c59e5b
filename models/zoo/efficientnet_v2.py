"""EfficientNetV2: fused inverted residuals in the first stages, searched for training speed.

Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training", arXiv:2104.00298, Table 4 (S); B0 to B3, M, L
and XL are defined in the authors' release (google/automl, efficientnetv2). Stochastic depth acts in training alone
and is absent.
"""

import math

from torch import Tensor, nn

from models.zoo.efficientnet import mbconv
from models.zoo.layers import ConvBNAct, PooledClassifier

Row = tuple[bool, int, int, int, int]

# One row per stage: fused, expansion, stride of the first layer, output channels, layers. Every kernel is 3x3.
B0: tuple[Row, ...] = (
    (True, 1, 1, 16, 1),
    (True, 4, 2, 32, 2),
    (True, 4, 2, 48, 2),
    (False, 4, 2, 96, 3),
    (False, 6, 1, 112, 5),
    (False, 6, 2, 192, 8),
)
S: tuple[Row, ...] = (
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)
M: tuple[Row, ...] = (
    (True, 1, 1, 24, 3),
    (True, 4, 2, 48, 5),
    (True, 4, 2, 80, 5),
    (False, 4, 2, 160, 7),
    (False, 6, 1, 176, 14),
    (False, 6, 2, 304, 18),
    (False, 6, 1, 512, 5),
)
L: tuple[Row, ...] = (
    (True, 1, 1, 32, 4),
    (True, 4, 2, 64, 7),
    (True, 4, 2, 96, 7),
    (False, 4, 2, 192, 10),
    (False, 6, 1, 224, 19),
    (False, 6, 2, 384, 25),
    (False, 6, 1, 640, 7),
)
XL: tuple[Row, ...] = (
    (True, 1, 1, 32, 4),
    (True, 4, 2, 64, 8),
    (True, 4, 2, 96, 8),
    (False, 4, 2, 192, 16),
    (False, 6, 1, 256, 24),
    (False, 6, 2, 512, 32),
    (False, 6, 1, 640, 8),
)
HEAD = 1280


def round_to_eight(value: float) -> int:
    """The nearest multiple of 8, at least 8; unlike `make_divisible` it may lose more than a tenth."""
    return max(8, int(value + 4) // 8 * 8)


class FusedMBConv(nn.Module):
    """3x3 expansion, linear 1x1 projection, identity where stride and widths allow it.

    With an expansion of 1 the 3x3 convolution is the only one and keeps its activation.
    """

    def __init__(self, in_channels: int, expansion: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if expansion == 1:
            self.layers = nn.Sequential(ConvBNAct(in_channels, out_channels, 3, stride, activation=nn.SiLU))
        else:
            expanded = expansion * in_channels
            self.layers = nn.Sequential(
                ConvBNAct(in_channels, expanded, 3, stride, activation=nn.SiLU),
                ConvBNAct(expanded, out_channels, activation=None),
            )
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class EfficientNetV2(nn.Module):
    """`width` scales every layer, stem and head included; `depth` the layers of each stage, rounded up."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        stem: int,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = round_to_eight(stem * width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.SiLU)]
        for fused, expansion, first_stride, paper_out, repeats in rows:
            out = round_to_eight(paper_out * width)
            for repeat in range(math.ceil(repeats * depth)):
                stride = first_stride if repeat == 0 else 1
                if fused:
                    layers.append(FusedMBConv(channels, expansion, out, stride))
                else:
                    layers.append(mbconv(channels, expansion, out, 3, stride))
                channels = out
        head = round_to_eight(HEAD * width)
        layers.append(ConvBNAct(channels, head, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def efficientnet_v2_b(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> EfficientNetV2:
    """B0 and, by the compound scaling of the first EfficientNet, B1 to B3."""
    return EfficientNetV2(B0, 32, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_s(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> EfficientNetV2:
    """The searched network, Table 4 of the paper."""
    return EfficientNetV2(S, 24, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_m(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.3
) -> EfficientNetV2:
    """S scaled up, with one more stage."""
    return EfficientNetV2(M, 24, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_l(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.4
) -> EfficientNetV2:
    """S scaled up further."""
    return EfficientNetV2(L, 32, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_xl(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.4
) -> EfficientNetV2:
    """The largest; the authors train it on ImageNet-21k first."""
    return EfficientNetV2(XL, 32, width, depth, num_classes, in_chans, dropout)
