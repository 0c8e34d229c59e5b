"""ShuffleNetV2: channel split, equal widths, concatenation and shuffle.

Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv:1807.11164,
Table 5 and Figure 3 (c), (d). The last linear layer has a bias (the authors' PyTorch release has none).
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, channel_shuffle

# One row per width of Table 5: output channels of stages 2, 3, 4 and of conv5.
WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
REPEATS = (4, 8, 4)
STEM = 24


class BasicUnit(nn.Module):
    """Figure 3 (c), stride 1: the first half of the channels passes, the second half is convolved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = _branch(channels // 2, channels // 2, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        passed, convolved = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((passed, self.branch(convolved)), dim=1), 2)


class DownUnit(nn.Module):
    """Figure 3 (d), stride 2: both branches see all channels, each makes half of the output."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.shortcut = nn.Sequential(
            ConvBNAct(in_channels, in_channels, 3, 2, groups=in_channels, activation=None),
            ConvBNAct(in_channels, half),
        )
        self.branch = _branch(in_channels, half, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(torch.cat((self.shortcut(x), self.branch(x)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """`width` is one of the four of Table 5; the stem has 24 channels at every width."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        if width not in WIDTHS:
            raise ValueError(f"ShuffleNetV2 is defined for the widths {sorted(WIDTHS)}, not {width}")
        *stages, conv5 = WIDTHS[width]
        layers: list[nn.Module] = [ConvBNAct(in_chans, STEM, 3, 2), nn.MaxPool2d(3, stride=2, padding=1)]
        channels = STEM
        for out, repeats in zip(stages, REPEATS, strict=True):
            layers.append(DownUnit(channels, out))
            layers.extend(BasicUnit(out) for _ in range(repeats - 1))
            channels = out
        layers.append(ConvBNAct(channels, conv5))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(conv5, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _branch(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """1x1, depthwise 3x3 (linear), 1x1."""
    return nn.Sequential(
        ConvBNAct(in_channels, channels),
        ConvBNAct(channels, channels, 3, stride, groups=channels, activation=None),
        ConvBNAct(channels, channels),
    )
