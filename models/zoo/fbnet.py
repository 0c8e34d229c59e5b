"""FBNet: blocks chosen layer by layer with a differentiable search on a phone's latency table.

Wu et al. 2018, "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search",
arXiv:1812.03443, Figure 4; widths and biases follow the authors' release (facebookresearch/mobile-vision), where
every convolution has a bias although a batch normalization follows.
"""

from typing import NamedTuple

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, channel_shuffle, make_divisible


class Choice(NamedTuple):
    """One candidate block of the search space."""

    kernel: int
    expansion: int
    groups: int = 1


# Named as in the paper. Skip is an identity.
SKIP = None
K3_E1, K3_E1_G2, K3_E3, K3_E6 = Choice(3, 1), Choice(3, 1, 2), Choice(3, 3), Choice(3, 6)
K5_E1, K5_E1_G2, K5_E3, K5_E6 = Choice(5, 1), Choice(5, 1, 2), Choice(5, 3), Choice(5, 6)

Stage = tuple[int, int, tuple[Choice | None, ...]]

# One row per stage: channels, stride of the first block, blocks.
A: tuple[Stage, ...] = (
    (16, 1, (SKIP,)),
    (24, 2, (K3_E3, K3_E1, SKIP, SKIP)),
    (32, 2, (K5_E6, K3_E3, K5_E1, K3_E3)),
    (64, 2, (K5_E6, K5_E3, K5_E1_G2, K5_E6)),
    (112, 1, (K3_E6, K5_E1_G2, K5_E3, K3_E1_G2)),
    (184, 2, (K5_E6, K5_E6, K5_E3, K5_E6)),
    (352, 1, (K5_E6,)),
)
B: tuple[Stage, ...] = (
    (16, 1, (K3_E1,)),
    (24, 2, (K3_E6, K5_E1, K3_E1, K3_E1)),
    (32, 2, (K5_E6, K5_E3, K3_E6, K5_E6)),
    (64, 2, (K5_E6, K5_E6, SKIP, K5_E3)),
    (112, 1, (K5_E6, K3_E1, K5_E1, K5_E3)),
    (184, 2, (K5_E6, K5_E1, K5_E6, K5_E6)),
    (352, 1, (K3_E6,)),
)
C: tuple[Stage, ...] = (
    (16, 1, (K3_E1,)),
    (24, 2, (K3_E6, SKIP, K3_E1, K3_E1)),
    (32, 2, (K5_E6, K5_E3, K5_E6, K3_E6)),
    (64, 2, (K5_E6, K5_E3, K5_E6, K5_E6)),
    (112, 1, (K5_E6, K5_E6, K5_E6, K5_E3)),
    (184, 2, (K5_E6, K5_E6, K5_E6, K5_E6)),
    (352, 1, (K3_E6,)),
)
STEM = 16


class ChannelShuffle(nn.Module):
    """Interleave the channels of `groups` equal groups."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(x, self.groups)


class SearchedBlock(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection in groups, identity.

    Without expansion (1) that layer is absent; with groups the depthwise layer reads shuffled channels.
    """

    def __init__(self, in_channels: int, out_channels: int, choice: Choice, stride: int) -> None:
        super().__init__()
        kernel, expansion, groups = choice
        expanded = make_divisible(expansion * in_channels)
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(ConvBNAct(in_channels, expanded, bias=True))
        if groups > 1:
            layers.append(ChannelShuffle(groups))
        layers.append(ConvBNAct(expanded, expanded, kernel, stride, groups=expanded, bias=True))
        layers.append(ConvBNAct(expanded, out_channels, groups=groups, activation=None, bias=True))
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class FBNet(nn.Module):
    """A stem of 16 channels, the stages, and a 1x1 convolution to `head` channels."""

    def __init__(
        self,
        stages: tuple[Stage, ...],
        head: int,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = STEM
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, bias=True)]
        for out, first_stride, choices in stages:
            for index, choice in enumerate(choices):
                if choice is not SKIP:
                    stride = first_stride if index == 0 else 1
                    layers.append(SearchedBlock(channels, out, choice, stride))
                    channels = out
        layers.append(ConvBNAct(channels, head, bias=True))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def fbnet_a(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> FBNet:
    """The fastest of the three."""
    return FBNet(A, 1504, num_classes, in_chans, dropout)


def fbnet_b(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> FBNet:
    """The one in the middle."""
    return FBNet(B, 1984, num_classes, in_chans, dropout)


def fbnet_c(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> FBNet:
    """The most accurate of the three."""
    return FBNet(C, 1984, num_classes, in_chans, dropout)
