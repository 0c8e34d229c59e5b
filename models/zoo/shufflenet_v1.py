"""ShuffleNetV1: grouped 1x1 convolutions with a channel shuffle between them.

Zhang et al. 2017, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
arXiv:1707.01083, Table 1 and Figure 2 (b), (c). The shuffle sits before the depthwise layer, as drawn there. The
authors' release (megvii-model/ShuffleNet-Series) has it behind that layer and concatenates the pooled input first.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier, SqueezeExcite, channel_shuffle

# Output channels of stage 2 at full width by number of groups; each later stage doubles them.
CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
REPEATS = (4, 8, 4)
STEM = 24
BOTTLENECK = 4  # the bottleneck has one of so many channels


class Unit(nn.Module):
    """Figure 2 (b), (c): grouped 1x1, shuffle, depthwise 3x3 (linear), grouped 1x1 (linear).

    At stride 1 the input is added. At stride 2 the branch makes only the channels that the input lacks, and the
    average-pooled input is concatenated behind them. The last activation follows the sum or the concatenation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, groups: int, stride: int, first_groups: int, reduction: int | None
    ) -> None:
        super().__init__()
        bottleneck = out_channels // BOTTLENECK
        made = out_channels if stride == 1 else out_channels - in_channels
        self.groups = groups
        self.reduce = ConvBNAct(in_channels, bottleneck, groups=first_groups)
        self.depthwise = ConvBNAct(bottleneck, bottleneck, 3, stride, groups=bottleneck, activation=None)
        self.expand = ConvBNAct(bottleneck, made, groups=groups, activation=None)
        self.excite = nn.Identity() if reduction is None else SqueezeExcite(made, made // reduction, bias=False)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        if self.groups > 1:
            y = channel_shuffle(y, self.groups)
        y = self.excite(self.expand(self.depthwise(y)))
        joined = x + y if self.pool is None else torch.cat((y, self.pool(x)), dim=1)
        activated: Tensor = self.activation(joined)
        return activated


class ShuffleNetV1(nn.Module):
    """`width` is the paper's scale factor s; `stem` and `bias` (of the classifier) differ in the authors' release.

    The very first 1x1 convolution is not grouped, because the stem has few channels. A scaled number of channels that
    the groups do not divide becomes the next smaller one that they do; the paper does not say how it rounds.
    `reduction` adds squeeze-and-excitation to every branch.
    """

    def __init__(
        self,
        groups: int = 3,
        width: float = 1.0,
        stem: int | None = None,
        bias: bool = True,
        reduction: int | None = None,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if groups not in CHANNELS:
            raise ValueError(f"ShuffleNetV1 is defined for {sorted(CHANNELS)} groups, not {groups}")
        channels = _scaled(STEM, width, groups) if stem is None else stem
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2), nn.MaxPool2d(3, stride=2, padding=1)]
        for stage, repeats in enumerate(REPEATS):
            out = _scaled(CHANNELS[groups] * 2**stage, width, groups, BOTTLENECK)
            if out <= channels:
                raise ValueError(f"a width of {width} leaves {out} channels after the {channels} before")
            for repeat in range(repeats):
                first_groups = 1 if stage == repeat == 0 else groups
                layers.append(Unit(channels, out, groups, 2 if repeat == 0 else 1, first_groups, reduction))
                channels = out
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout, bias)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _scaled(channels: int, width: float, groups: int, bottleneck: int = 1) -> int:
    """`groups` divide this number of channels and, rounded down, its part 1 / `bottleneck`."""
    wanted = range(int(channels * width), bottleneck * groups, -1)
    return next((n for n in wanted if n % groups == n // bottleneck % groups == 0), bottleneck * groups)
