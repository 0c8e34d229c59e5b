"""IGCV2, a reconstruction: MobileNetV1 with each 1x1 layer replaced by two sparse ones.

Xie et al. 2018, "IGCV2: Interleaved Structured Sparse Convolutional Neural Networks", arXiv:1804.06202. The paper
gives the principle (grouped 1x1 layers with permutations between, exactly one path from each input to each output
channel) but not every layer of its ImageNet network, and no code of it is public. The base width and the number of
units of 512 channels are chosen here such that parameters and multiply-adds meet the published ones at full width.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, channel_shuffle

BASE_WIDTH = 1.075
GROUPS = 2
STEM = 32
# One row per unit: output channels, stride.
UNITS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 12,
    (1024, 2),
    (1024, 1),
)


class SparsePointwise(nn.Module):
    """1x1 in 2 groups, then 1x1 in groups of 2 channels, one of each of the former groups; one normalization.

    A shuffle brings these channels together and the inverse one puts them back.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(in_channels, channels, 1, groups=GROUPS, bias=False)
        self.narrow = nn.Conv2d(channels, channels, 1, groups=channels // GROUPS, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = channel_shuffle(self.wide(x), GROUPS)
        x = channel_shuffle(self.narrow(x), self.narrow.groups)
        activated: Tensor = self.activation(self.norm(x))
        return activated


class IGCV2(nn.Module):
    """`width` scales every layer, the stem included, to even numbers of channels."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        channels = _scaled(STEM, width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2)]
        for out, stride in UNITS:
            layers.append(ConvBNAct(channels, channels, 3, stride, groups=channels))
            layers.append(SparsePointwise(channels, _scaled(out, width)))
            channels = _scaled(out, width)
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _scaled(channels: int, width: float) -> int:
    return max(GROUPS, round(channels * BASE_WIDTH * width / GROUPS) * GROUPS)
