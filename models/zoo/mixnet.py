"""MixNet: depthwise convolutions that mix several kernel sizes in one layer.

Tan and Le 2019, "MixConv: Mixed Depthwise Convolutional Kernels", arXiv:1907.09595, Figure 5 (S and M); ratios of
squeeze-and-excitation and the split 1x1 convolutions are the authors' release (tensorflow/tpu,
models/official/mnasnet/mixnet). L is M with a width of 1.3.
"""

import torch
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, SqueezeExcite, make_divisible

Row = tuple[tuple[int, ...], int, int, int, int, float, bool, bool, str]

# One row per line of the figure: kernels, stride of the first block, expansion, output channels, repeats, SE ratio,
# whether the 1x1 expansion and the 1x1 projection are split in two, activation (RE = ReLU, SW = Swish).
S: tuple[Row, ...] = (
    ((3,), 2, 6, 24, 1, 0.0, True, True, "RE"),
    ((3,), 1, 3, 24, 1, 0.0, True, True, "RE"),
    ((3, 5, 7), 2, 6, 40, 1, 0.5, False, False, "SW"),
    ((3, 5), 1, 6, 40, 3, 0.5, True, True, "SW"),
    ((3, 5, 7), 2, 6, 80, 1, 0.25, False, True, "SW"),
    ((3, 5), 1, 6, 80, 2, 0.25, False, True, "SW"),
    ((3, 5, 7), 1, 6, 120, 1, 0.5, True, True, "SW"),
    ((3, 5, 7, 9), 1, 3, 120, 2, 0.5, True, True, "SW"),
    ((3, 5, 7, 9, 11), 2, 6, 200, 1, 0.5, False, False, "SW"),
    ((3, 5, 7, 9), 1, 6, 200, 2, 0.5, False, True, "SW"),
)
M: tuple[Row, ...] = (
    ((3, 5, 7), 2, 6, 32, 1, 0.0, True, True, "RE"),
    ((3,), 1, 3, 32, 1, 0.0, True, True, "RE"),
    ((3, 5, 7, 9), 2, 6, 40, 1, 0.5, False, False, "SW"),
    ((3, 5), 1, 6, 40, 3, 0.5, True, True, "SW"),
    ((3, 5, 7), 2, 6, 80, 1, 0.25, False, False, "SW"),
    ((3, 5, 7, 9), 1, 6, 80, 3, 0.25, True, True, "SW"),
    ((3,), 1, 6, 120, 1, 0.5, False, False, "SW"),
    ((3, 5, 7, 9), 1, 3, 120, 3, 0.5, True, True, "SW"),
    ((3, 5, 7, 9), 2, 6, 200, 1, 0.5, False, False, "SW"),
    ((3, 5, 7, 9), 1, 6, 200, 3, 0.5, False, True, "SW"),
)
HEAD = 1536


def parts(channels: int, number: int) -> list[int]:
    """`channels` in `number` equal parts; the first takes what is left over."""
    rest = [channels // number] * (number - 1)
    return [channels - sum(rest), *rest]


class MixConv(nn.Module):
    """Channels split among convolutions of several kernel sizes, their outputs concatenated in the same order."""

    def __init__(
        self, in_channels: int, out_channels: int, kernels: tuple[int, ...], stride: int = 1, depthwise: bool = False
    ) -> None:
        super().__init__()
        self.parts = parts(in_channels, len(kernels))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(ins, outs, kernel, stride, (kernel - 1) // 2, groups=ins if depthwise else 1, bias=False)
            for ins, outs, kernel in zip(self.parts, parts(out_channels, len(kernels)), kernels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        if len(self.parts) == 1:
            y: Tensor = self.convolutions[0](x)
            return y
        pieces = torch.split(x, self.parts, dim=1)
        return torch.cat([layer(piece) for layer, piece in zip(self.convolutions, pieces, strict=True)], dim=1)


class MixBlock(nn.Module):
    """1x1 expansion, mixed depthwise convolution, optional squeeze-and-excitation, linear 1x1 projection, identity.

    The gate is reduced to `se` times the block's input width.
    """

    def __init__(
        self,
        in_channels: int,
        expansion: int,
        out_channels: int,
        kernels: tuple[int, ...],
        stride: int,
        se: float,
        split_expansion: bool,
        split_projection: bool,
        activation: type[nn.Module],
    ) -> None:
        super().__init__()
        expanded = expansion * in_channels
        layers: list[nn.Module] = [
            MixConv(in_channels, expanded, (1, 1) if split_expansion else (1,)),
            nn.BatchNorm2d(expanded),
            activation(),
            MixConv(expanded, expanded, kernels, stride, depthwise=True),
            nn.BatchNorm2d(expanded),
            activation(),
        ]
        if se:
            layers.append(SqueezeExcite(expanded, max(1, int(se * in_channels)), activation=activation))
        layers.append(MixConv(expanded, out_channels, (1, 1) if split_projection else (1,)))
        layers.append(nn.BatchNorm2d(out_channels))
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class MixNet(nn.Module):
    """A stem, one depthwise separable block with identity, the rows, and a head of 1536 channels that is not scaled."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        stem: int,
        width: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = make_divisible(stem * width)
        layers: list[nn.Module] = [
            ConvBNAct(in_chans, channels, 3, 2),
            InvertedResidual(channels, channels, channels, 3, 1, nn.ReLU),
        ]
        for kernels, first_stride, expansion, paper_out, repeats, se, split_expansion, split_projection, name in rows:
            out = make_divisible(paper_out * width)
            activation = nn.ReLU if name == "RE" else nn.SiLU
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                layers.append(
                    MixBlock(
                        channels, expansion, out, kernels, stride, se, split_expansion, split_projection, activation
                    )
                )
                channels = out
        layers.append(ConvBNAct(channels, HEAD))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(HEAD, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def mixnet_s(width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> MixNet:
    """The smaller of the two searched networks."""
    return MixNet(S, 16, width, num_classes, in_chans, dropout)


def mixnet_m(width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.25) -> MixNet:
    """The larger one."""
    return MixNet(M, 24, width, num_classes, in_chans, dropout)
