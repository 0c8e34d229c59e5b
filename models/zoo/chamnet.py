"""ChamNet: inverted residuals adapted to a platform by a search over predictors of accuracy and latency.

Dai et al. 2018, "ChamNet: Towards Efficient Network Design through Platform-Aware Model Adaptation",
arXiv:1812.08934. The layer tables of ChamNet-A to -F were not published. Public are two trunks of the same search
space, cham_v1a and cham_v2, in the authors' detection code (facebookresearch/maskrcnn-benchmark; the later d2go has 5x5
kernels where these are 7x7). With a head added here, a 1x1 convolution to 1280 channels and a linear layer, they are
labeled reconstructions of classifiers; no published accuracy belongs to them.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier

Row = tuple[int, int, int, int, int]

# One row per stage: kernel, expansion, output channels, repeats, stride of the first block.
V1A: tuple[Row, ...] = (
    (3, 1, 24, 1, 1),
    (7, 4, 48, 2, 2),
    (3, 7, 64, 5, 2),
    (5, 12, 56, 7, 2),
    (3, 8, 88, 5, 1),
    (3, 7, 152, 4, 2),
    (3, 10, 104, 1, 1),
)
V2: tuple[Row, ...] = (
    (3, 1, 24, 1, 1),
    (5, 8, 32, 4, 2),
    (7, 5, 48, 6, 2),
    (5, 9, 56, 3, 2),
    (3, 6, 56, 6, 1),
    (3, 2, 160, 6, 2),
    (3, 6, 112, 1, 1),
)
STEM = 32
HEAD = 1280


class ChamNet(nn.Module):
    """A stem of 32 channels, the rows, and a head of 1280."""

    def __init__(self, rows: tuple[Row, ...], num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        channels = STEM
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2)]
        for kernel, expansion, out, repeats, first_stride in rows:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, expansion * channels, out, kernel, stride, nn.ReLU))
                channels = out
        layers.append(ConvBNAct(channels, HEAD))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(HEAD, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def cham_v1a(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> ChamNet:
    """The older trunk."""
    return ChamNet(V1A, num_classes, in_chans, dropout)


def cham_v2(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> ChamNet:
    """The newer trunk."""
    return ChamNet(V2, num_classes, in_chans, dropout)
