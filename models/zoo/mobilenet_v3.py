"""MobileNetV3: searched inverted residuals, squeeze-and-excitation, h-swish.

Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, Table 1 (Large) and Table 2 (Small). The
minimalistic forms are the authors' TF-slim release: ReLU throughout, 3x3 kernels only, no squeeze-and-excitation.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, SqueezeExcite, make_divisible

Row = tuple[int, int, int, bool, str, int]

# One row per bneck, as in the paper: kernel, exp size, #out, SE, NL (RE = ReLU, HS = h-swish), s.
LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, "RE", 2),
    (3, 72, 24, False, "RE", 2),
    (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2),
    (5, 240, 40, True, "HS", 1),
    (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1),
    (5, 144, 48, True, "HS", 1),
    (5, 288, 96, True, "HS", 2),
    (5, 576, 96, True, "HS", 1),
    (5, 576, 96, True, "HS", 1),
)
STEM = 16


class MobileNetV3(nn.Module):
    """`rows` with the widths of its two last layers: `last_conv` before the pool, `head` after it.

    `width` scales the rows and `last_conv`; `head` stays, and the stem never falls below 16 channels. An expanded
    width keeps its ratio to the block's input, so that it follows the input's rounding.
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        last_conv: int,
        head: int,
        width: float = 1.0,
        minimalistic: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        hard_swish: type[nn.Module] = nn.ReLU if minimalistic else nn.Hardswish
        channels = max(STEM, make_divisible(STEM * width))
        paper_channels = STEM
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=hard_swish)]
        for kernel, exp, out, se, nonlinearity, stride in rows:
            expanded = make_divisible(channels * exp / paper_channels)
            excite = None
            if se and not minimalistic:
                excite = SqueezeExcite(expanded, make_divisible(expanded / 4), gate=nn.Hardsigmoid)
            activation = nn.ReLU if nonlinearity == "RE" else hard_swish
            scaled = make_divisible(out * width)
            kernel = 3 if minimalistic else kernel
            layers.append(InvertedResidual(channels, expanded, scaled, kernel, stride, activation, excite))
            channels, paper_channels = scaled, out
        last_conv = make_divisible(last_conv * width)
        layers.append(ConvBNAct(channels, last_conv, activation=hard_swish))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(last_conv, head),
            hard_swish(),
            nn.Dropout(dropout),
            nn.Linear(head, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def mobilenet_v3_large(
    width: float = 1.0, minimalistic: bool = False, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> MobileNetV3:
    """Table 1 of the paper."""
    return MobileNetV3(LARGE, 960, 1280, width, minimalistic, num_classes, in_chans, dropout)


def mobilenet_v3_small(
    width: float = 1.0, minimalistic: bool = False, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2
) -> MobileNetV3:
    """Table 2 of the paper; its first edition had a head of 1280 channels instead of 1024."""
    return MobileNetV3(SMALL, 576, 1024, width, minimalistic, num_classes, in_chans, dropout)
