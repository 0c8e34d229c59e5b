"""MnasNet: block structure searched with measured phone latency in the reward.

Tan et al. 2018, "MnasNet: Platform-Aware Neural Architecture Search for Mobile", arXiv:1807.11626, Figure 7 (A1);
B1 and small are defined in the authors' release (tensorflow/tpu, models/official/mnasnet).
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, SqueezeExcite, make_divisible

Row = tuple[int, int, int, int, int, bool]

# One row per stage after the separable one: expansion, kernel, output channels, repeats, first stride, SE.
A1: tuple[Row, ...] = (
    (6, 3, 24, 2, 2, False),
    (3, 5, 40, 3, 2, True),
    (6, 3, 80, 4, 2, False),
    (6, 3, 112, 2, 1, True),
    (6, 5, 160, 3, 2, True),
    (6, 3, 320, 1, 1, False),
)
B1: tuple[Row, ...] = (
    (3, 3, 24, 3, 2, False),
    (3, 5, 40, 3, 2, False),
    (6, 5, 80, 3, 2, False),
    (6, 3, 96, 2, 1, False),
    (6, 5, 192, 4, 2, False),
    (6, 3, 320, 1, 1, False),
)
SMALL: tuple[Row, ...] = (
    (3, 3, 16, 1, 2, False),
    (6, 3, 16, 2, 2, False),
    (6, 5, 32, 4, 2, True),
    (6, 3, 32, 3, 1, True),
    (6, 5, 88, 3, 2, True),
    (6, 3, 144, 1, 1, False),
)
HEAD = 1280


class MnasNet(nn.Module):
    """A stem, one depthwise separable block (SepConv), the rows, and a head of 1280 channels that is not scaled.

    Squeeze-and-excitation reduces to a quarter of the block's input width (not of the expanded one).
    """

    def __init__(
        self,
        rows: tuple[Row, ...],
        stem: int,
        sepconv: int,
        sepconv_skip: bool = False,
        width: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = make_divisible(stem * width)
        out = make_divisible(sepconv * width)
        layers: list[nn.Module] = [
            ConvBNAct(in_chans, channels, 3, 2),
            InvertedResidual(channels, channels, out, 3, 1, nn.ReLU, skip=sepconv_skip),
        ]
        channels = out
        for expansion, kernel, paper_out, repeats, first_stride, se in rows:
            out = make_divisible(paper_out * width)
            for repeat in range(repeats):
                expanded = expansion * channels
                stride = first_stride if repeat == 0 else 1
                excite = SqueezeExcite(expanded, round(channels / 4)) if se else None
                layers.append(InvertedResidual(channels, expanded, out, kernel, stride, nn.ReLU, excite))
                channels = out
        layers.append(ConvBNAct(channels, HEAD))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(HEAD, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def mnasnet_a1(width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> MnasNet:
    """The paper's main result, with squeeze-and-excitation."""
    return MnasNet(A1, 32, 16, False, width, num_classes, in_chans, dropout)


def mnasnet_b1(width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> MnasNet:
    """The search without squeeze-and-excitation."""
    return MnasNet(B1, 32, 16, False, width, num_classes, in_chans, dropout)


def mnasnet_small(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> MnasNet:
    """A search for a small target: stem and separable block both have 8 channels and an identity between them."""
    return MnasNet(SMALL, 8, 8, True, 1.0, num_classes, in_chans, dropout)
