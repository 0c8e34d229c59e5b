"""CondenseNet: dense blocks whose learned group convolutions pick their inputs by an index.

Huang et al. 2017, "CondenseNet: An Efficient DenseNet using Learned Group Convolutions", arXiv:1711.09224, the
network CondenseNet-74 (its Table 2) in the form for deployment: the features that training kept are gathered, and all
convolutions are ordinary grouped ones. An untrained network has no learned index; a fixed random one stands in.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import channel_shuffle

STEM = 16
LAYERS = (4, 6, 8, 10, 8)
GROWTH = (8, 16, 32, 64, 128)
BOTTLENECK = 4
CLASSIFIER_SHARE = 2  # the classifier keeps one of two features


class Gather(nn.Module):
    """The channels (or features) of the index, a buffer, along the second axis."""

    index: Tensor

    def __init__(self, index: list[int]) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index))

    def forward(self, x: Tensor) -> Tensor:
        return torch.index_select(x, 1, self.index)


class LearnedGroupConv(nn.Module):
    """Gather, normalization, ReLU, 1x1 in groups, shuffle: each group has `in_channels / condensation` inputs."""

    def __init__(self, in_channels: int, channels: int, groups: int, condensation: int) -> None:
        super().__init__()
        kept = in_channels // condensation
        index = [channel for group in range(groups) for channel in _chosen(in_channels, kept, seed=group)]
        self.gather = Gather(index)
        self.norm = nn.BatchNorm2d(len(index))
        self.activation = nn.ReLU()
        self.conv = nn.Conv2d(len(index), channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.activation(self.norm(self.gather(x))))
        return channel_shuffle(x, self.conv.groups)


class DenseLayer(nn.Module):
    """A learned 1x1 group convolution and a grouped 3x3; the new features are concatenated behind the input."""

    def __init__(self, in_channels: int, growth: int, groups: int, condensation: int) -> None:
        super().__init__()
        bottleneck = BOTTLENECK * growth
        self.reduce = LearnedGroupConv(in_channels, bottleneck, groups, condensation)
        self.expand = nn.Sequential(
            nn.BatchNorm2d(bottleneck),
            nn.ReLU(),
            nn.Conv2d(bottleneck, growth, 3, padding=1, groups=groups, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.expand(self.reduce(x))), dim=1)


class CondenseNet(nn.Module):
    """`groups` G of every convolution and the `condensation` factor C of the learned ones."""

    def __init__(
        self,
        groups: int = 4,
        condensation: int = 4,
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_chans, STEM, 3, stride=2, padding=1, bias=False)]
        channels = STEM
        for block, (repeats, growth) in enumerate(zip(LAYERS, GROWTH, strict=True)):
            if block > 0:
                layers.append(nn.AvgPool2d(2, stride=2))
            for _ in range(repeats):
                layers.append(DenseLayer(channels, growth, groups, condensation))
                channels += growth
        layers.extend((nn.BatchNorm2d(channels), nn.ReLU()))
        self.features = nn.Sequential(*layers)
        kept = channels // CLASSIFIER_SHARE
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            Gather(_chosen(channels, kept, seed=0)),
            nn.Linear(kept, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _chosen(channels: int, kept: int, seed: int) -> list[int]:
    """`kept` of all channels, in ascending order, the same ones whatever the state of the global generators."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(channels, generator=generator, device="cpu")
    return sorted(order[:kept].tolist())
