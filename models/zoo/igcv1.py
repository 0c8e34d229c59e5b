"""IGCV1: interleaved group convolutions.

Zhang et al. 2017, "Interleaved Group Convolutions for Deep Neural Networks", arXiv:1707.02725, the ImageNet networks
of its Table 5, in the layers of the authors' release (hellozting/InterleavedGroupConvolutions), whose eps of
normalization they have.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, channel_shuffle

BLOCKS_PER_STAGE = 2
EPS = 2e-5


class InterleavedUnit(nn.Module):
    """Primary: 3x3 in `primary` groups; secondary: 1x1 in groups of one channel from each primary group.

    The first permutation collects these channels, the second puts them back; normalization follows both.
    """

    def __init__(self, in_channels: int, channels: int, primary: int, stride: int, activation: bool) -> None:
        super().__init__()
        self.primary = primary
        self.secondary = channels // primary
        self.spatial = nn.Conv2d(in_channels, channels, 3, stride, 1, groups=primary, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, groups=self.secondary, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = nn.ReLU() if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pointwise(channel_shuffle(self.spatial(x), self.primary))
        activated: Tensor = self.activation(self.norm(channel_shuffle(x, self.secondary)))
        return activated


class Block(nn.Module):
    """Two units, the second linear, and an addition; the shortcut is projected (grouped) where the shape changes."""

    def __init__(self, in_channels: int, channels: int, primary: int, stride: int) -> None:
        super().__init__()
        if stride == 1 and in_channels == channels:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = ConvBNAct(in_channels, channels, 1, stride, groups=primary, activation=None)
        self.units = nn.Sequential(
            InterleavedUnit(in_channels, channels, primary, stride, activation=True),
            InterleavedUnit(channels, channels, primary, 1, activation=False),
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.activation(self.shortcut(x) + self.units(x))
        return joined


class IGCV1(nn.Module):
    """`stem` channels, then one entry of `channels` and of `primary` (number of groups) per stage."""

    def __init__(
        self,
        stem: int,
        channels: Sequence[int],
        primary: Sequence[int],
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvBNAct(in_chans, stem, 7, 2), nn.MaxPool2d(3, stride=2, padding=1)]
        current = stem
        for stage, (out, groups) in enumerate(zip(channels, primary, strict=True)):
            for block in range(BLOCKS_PER_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Block(current, out, groups, stride))
                current = out
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(current, num_classes, dropout)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = EPS

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def igcv1_l100m2(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> IGCV1:
    """Two channels per primary group in every stage: the number of groups grows with the width."""
    return IGCV1(100, (200, 400, 800, 1600), (100, 200, 400, 800), num_classes, in_chans, dropout)


def igcv1(primary: int, secondary: int, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> IGCV1:
    """L `primary` and M `secondary` groups in the first stage; L stays, M doubles with the width."""
    base = primary * secondary
    channels = [base * 2**stage for stage in range(4)]
    return IGCV1(base, channels, (primary,) * 4, num_classes, in_chans, dropout)
