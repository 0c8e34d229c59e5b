"""IGCV3: inverted residuals whose 1x1 layers are grouped, with a permutation between.

Sun et al. 2018, "IGCV3: Interleaved Low-Rank Group Convolutions for Efficient Deep Neural Networks",
arXiv:1806.00178, the network IGCV3-D in the layers of the authors' release (homles11/IGCV3).
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, channel_shuffle

GROUPS = 2
STEM = 32
HEAD = 1280
# One row per stage: expansion t, output channels c, repeats n, stride s of the first repeat.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 4, 2),
    (6, 32, 6, 2),
    (6, 64, 8, 2),
    (6, 96, 6, 1),
    (6, 160, 6, 2),
    (6, 320, 1, 1),
)


class Block(nn.Module):
    """Grouped 1x1 expansion (linear), permutation, depthwise 3x3, grouped 1x1 projection (linear), identity.

    The expansion layer is there at expansion 1 too. The authors' code leaves out the paper's second permutation.
    """

    def __init__(self, in_channels: int, expanded: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.expand = ConvBNAct(in_channels, expanded, groups=GROUPS, activation=None)
        self.depthwise = ConvBNAct(expanded, expanded, 3, stride, groups=expanded, activation=nn.ReLU6)
        self.project = ConvBNAct(expanded, out_channels, groups=GROUPS, activation=None)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(channel_shuffle(self.expand(x), GROUPS)))
        return x + y if self.skip else y


class IGCV3(nn.Module):
    """`width` scales every layer to even numbers of channels; the last 1280 only grow (width above 1)."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        channels = _scaled(STEM, width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.ReLU6)]
        for t, c, n, s in STAGES:
            out = _scaled(c, width)
            for repeat in range(n):
                layers.append(Block(channels, t * channels, out, s if repeat == 0 else 1))
                channels = out
        head = _scaled(HEAD, max(1.0, width))
        layers.append(ConvBNAct(channels, head, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _scaled(channels: int, width: float) -> int:
    scaled = int(channels * width)
    return scaled + scaled % GROUPS
