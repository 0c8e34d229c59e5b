"""GhostNet: half of the feature maps from cheap depthwise operations.

Han et al. 2019, "GhostNet: More Features from Cheap Operations", arXiv:1911.11907, Table 1 and Figure 3; the
depthwise kernel of the Ghost module is 3x3 and the gate a hard sigmoid, as in the authors' release.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, SqueezeExcite, make_divisible

# One row per G-bneck, as in the paper: kernel, #exp, #out, SE, stride.
ROWS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)
STEM = 16
LAST_CONV = 960
HEAD = 1280


class GhostModule(nn.Module):
    """1x1 convolution to half of the channels, depthwise 3x3 over them, both concatenated in this order."""

    def __init__(self, in_channels: int, out_channels: int, activation: type[nn.Module] | None) -> None:
        super().__init__()
        primary = (out_channels + 1) // 2
        self.primary = ConvBNAct(in_channels, primary, activation=activation)
        self.cheap = ConvBNAct(primary, primary, 3, groups=primary, activation=activation)
        self.surplus = 2 * primary - out_channels

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary(x)
        y = torch.cat((primary, self.cheap(primary)), dim=1)
        return y[:, : -self.surplus] if self.surplus else y


class GhostBottleneck(nn.Module):
    """Ghost module, depthwise convolution where the stride is 2, gate, linear ghost module, shortcut."""

    def __init__(self, in_channels: int, expanded: int, out_channels: int, kernel: int, se: bool, stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [GhostModule(in_channels, expanded, nn.ReLU)]
        if stride > 1:
            layers.append(ConvBNAct(expanded, expanded, kernel, stride, groups=expanded, activation=None))
        if se:
            layers.append(SqueezeExcite(expanded, make_divisible(expanded / 4, 4), gate=nn.Hardsigmoid))
        layers.append(GhostModule(expanded, out_channels, None))
        self.layers = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                ConvBNAct(in_channels, in_channels, kernel, stride, groups=in_channels, activation=None),
                ConvBNAct(in_channels, out_channels, activation=None),
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x) + self.shortcut(x)
        return y


class GhostNet(nn.Module):
    """`width` scales every layer (to multiples of 4) but the last 1280 channels."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        channels = make_divisible(STEM * width, 4)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2)]
        for kernel, exp, out, se, stride in ROWS:
            expanded, scaled = make_divisible(exp * width, 4), make_divisible(out * width, 4)
            layers.append(GhostBottleneck(channels, expanded, scaled, kernel, se, stride))
            channels = scaled
        last_conv = make_divisible(LAST_CONV * width, 4)
        layers.append(ConvBNAct(channels, last_conv))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(last_conv, HEAD),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HEAD, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits
