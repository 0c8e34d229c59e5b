"""SqueezeNext: two-stage squeeze, separated 3x1 and 1x3 convolutions, expansion, addition.

Gholami et al. 2018, "SqueezeNext: Hardware-Aware Neural Network Design", arXiv:1803.10615, in the layers of the
authors' release (amirgholami/SqueezeNext): each convolution, of the shortcut and before the addition too, is followed
by normalization and ReLU, and another ReLU follows the addition.
"""

from torch import Tensor, nn

from models.zoo.layers import PooledClassifier

CHANNELS = (32, 64, 128, 256)
REPEATS = (6, 6, 8, 1)
REPEATS_V5 = (2, 4, 14, 1)
STEM = 64
HEAD = 128


class ConvBNReLU(nn.Sequential):
    """A convolution with a kernel of any shape, padded to keep the size at stride 1, normalization, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, groups: int = 1
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class Block(nn.Module):
    """1x1 to a half and to a quarter of the output channels, 3x1 and 1x3 back to a half, 1x1 to all, addition.

    `upright` says whether 3x1 comes before 1x3; the blocks of a stage take turns. `groups` divides the first 1x1 and
    the two separated convolutions. `project` is for the shortcut, which without it is the input.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, upright: bool, groups: int, project: bool) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        first, second = ((3, 1), (1, 3)) if upright else ((1, 3), (3, 1))
        self.shortcut = ConvBNReLU(in_channels, channels, stride=stride) if project else nn.Identity()
        self.layers = nn.Sequential(
            ConvBNReLU(in_channels, half, stride=stride, groups=groups),
            ConvBNReLU(half, quarter),
            ConvBNReLU(quarter, half, first, groups=groups),
            ConvBNReLU(half, half, second, groups=groups),
            ConvBNReLU(half, channels),
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.activation(self.shortcut(x) + self.layers(x))
        return joined


class SqueezeNext(nn.Module):
    """`width` scales the stages; the stem and the last 1x1 convolution stay. The classifier has no bias.

    The first block of a stage projects its shortcut, also where the shape stays (the first stage at width 2).
    In version 5 (`v5`) the stem's kernel is smaller, blocks move to later stages, and each stage begins with one 1x1
    convolution whose output the first block takes both as its input and as its shortcut.
    """

    def __init__(
        self,
        width: float = 1.0,
        groups: int = 1,
        v5: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if int(CHANNELS[0] * width) < 4:
            raise ValueError(f"a width of {width} leaves no channel for the bottleneck of the first stage")
        kernel = 5 if v5 else 7
        layers: list[nn.Module] = [
            nn.Conv2d(in_chans, STEM, kernel, stride=2, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
        ]
        channels = STEM
        for stage, (base, repeats) in enumerate(zip(CHANNELS, REPEATS_V5 if v5 else REPEATS, strict=True)):
            out, stride = int(base * width), 1 if stage == 0 else 2
            if v5:
                layers.append(ConvBNReLU(channels, out, stride=stride))
                channels, stride = out, 1
            for repeat in range(repeats):
                first = repeat == 0
                layers.append(Block(channels, out, stride if first else 1, repeat % 2 == 0, groups, first and not v5))
                channels = out
        layers.append(ConvBNReLU(channels, HEAD))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(HEAD, num_classes, dropout, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
