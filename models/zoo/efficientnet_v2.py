"""EfficientNetV2: fused inverted residuals in the first stages, searched for training speed.

Tan and Le 2021, "EfficientNetV2: Smaller Models and Faster Training", arXiv:2104.00298, Table 4 (S); B0 to B3, M, L
and XL are defined in the authors' release (google/automl, efficientnetv2), whose eps of normalization they have.
Stochastic depth acts in training alone and is absent.
"""

from torch import nn

from models.zoo.efficientnet import EfficientNet, Row

# One row per stage, as in `efficientnet`: kernel, stride of the first layer, expansion, output channels, layers.
B0: tuple[Row, ...] = (
    (3, 1, 1, 16, 1),
    (3, 2, 4, 32, 2),
    (3, 2, 4, 48, 2),
    (3, 2, 4, 96, 3),
    (3, 1, 6, 112, 5),
    (3, 2, 6, 192, 8),
)
S: tuple[Row, ...] = (
    (3, 1, 1, 24, 2),
    (3, 2, 4, 48, 4),
    (3, 2, 4, 64, 4),
    (3, 2, 4, 128, 6),
    (3, 1, 6, 160, 9),
    (3, 2, 6, 256, 15),
)
M: tuple[Row, ...] = (
    (3, 1, 1, 24, 3),
    (3, 2, 4, 48, 5),
    (3, 2, 4, 80, 5),
    (3, 2, 4, 160, 7),
    (3, 1, 6, 176, 14),
    (3, 2, 6, 304, 18),
    (3, 1, 6, 512, 5),
)
L: tuple[Row, ...] = (
    (3, 1, 1, 32, 4),
    (3, 2, 4, 64, 7),
    (3, 2, 4, 96, 7),
    (3, 2, 4, 192, 10),
    (3, 1, 6, 224, 19),
    (3, 2, 6, 384, 25),
    (3, 1, 6, 640, 7),
)
XL: tuple[Row, ...] = (
    (3, 1, 1, 32, 4),
    (3, 2, 4, 64, 8),
    (3, 2, 4, 96, 8),
    (3, 2, 4, 192, 16),
    (3, 1, 6, 256, 24),
    (3, 2, 6, 512, 32),
    (3, 1, 6, 640, 8),
)
EPS = 1e-3
FUSED = 3  # stages without depthwise convolutions, of every size


def round_to_eight(value: float) -> int:
    """The nearest multiple of 8, at least 8; unlike `make_divisible` it may lose more than a tenth."""
    return max(8, int(value + 4) // 8 * 8)


def _v2(
    rows: tuple[Row, ...], stem: int, width: float, depth: float, num_classes: int, in_chans: int, dropout: float
) -> EfficientNet:
    network = EfficientNet(
        width, depth, num_classes, in_chans, dropout, rows=rows, fused=FUSED, stem=stem, rounded=round_to_eight
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = EPS
    return network


def efficientnet_v2_b(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> EfficientNet:
    """B0 and, by the compound scaling of the first EfficientNet, B1 to B3."""
    return _v2(B0, 32, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_s(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> EfficientNet:
    """The searched network, Table 4 of the paper."""
    return _v2(S, 24, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_m(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.3
) -> EfficientNet:
    """S scaled up, with one more stage."""
    return _v2(M, 24, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_l(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.4
) -> EfficientNet:
    """S scaled up further."""
    return _v2(L, 32, width, depth, num_classes, in_chans, dropout)


def efficientnet_v2_xl(
    width: float = 1.0, depth: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.4
) -> EfficientNet:
    """The largest; the authors train it on ImageNet-21k first."""
    return _v2(XL, 32, width, depth, num_classes, in_chans, dropout)
