"""DeepLab: semantic segmentation by atrous convolutions and pooling at several scales.

Chen et al. 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587 (DeepLabv3); Chen et
al. 2018, "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", arXiv:1802.02611
(DeepLabv3+, Xception-65: Figures 2 and 4); Sandler et al. 2018, arXiv:1801.04381, section 6.3 (on MobileNetV2). Where
they leave something open, the authors' release decides (tensorflow/models, research/deeplab).

Stages beyond the output stride keep their maps as large, and the 3x3 convolutions after them are as many times wider.
The networks answer one logit per class and pixel of the image: (batch, classes, height, width). The release does so
as well and then takes the argmax, which is left out here. Corners stay where they are when a map is resized, so that
maps of 1 + n * stride pixels fit their images; there the padding, symmetric here, is also that of the release.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, make_divisible
from models.zoo.mobilenet_v2 import STAGES

DEPTH = 256  # channels of every branch of the head and of the decoder
FINE_DEPTH = 48  # of the map that the decoder takes from the entry flow
FINE_BLOCK = 1  # the block of it that the map is taken from
# One row per block of Xception-65: output channels of its separable convolutions, stride of the last of them.
BLOCKS = (
    ((128, 128, 128), 2),
    ((256, 256, 256), 2),
    ((728, 728, 728), 2),
    *(((728, 728, 728), 1),) * 16,
    ((728, 1024, 1024), 2),
)
EXIT = (1536, 1536, 2048)
RATES = (6, 12, 18)  # of the pyramid at an output stride of 16


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, with the corners where they were."""
    return nn.functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


class Strides:
    """The strides left to take before `output_stride` is reached, and the dilation of what comes after it."""

    def __init__(self, output_stride: int) -> None:
        if output_stride not in (8, 16):
            raise ValueError(f"an output stride of {output_stride}; it is 8 or 16")
        self._left = output_stride // 2  # the first convolution halves
        self._rate = 1

    def take(self, stride: int) -> tuple[int, int]:
        """Stride and dilation of a stage that has `stride` in a classifier."""
        if self._left > 1:
            self._left //= stride
            return stride, 1
        rate, self._rate = self._rate, self._rate * stride
        return 1, rate


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 and 1x1, each normalized; a ReLU before both, or one after each."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, rate: int = 1, before: bool = False
    ) -> None:
        super().__init__(
            *((nn.ReLU(),) if before else ()),
            nn.Conv2d(in_channels, in_channels, 3, stride, rate, dilation=rate, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
            *(() if before else (nn.ReLU(),)),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            *(() if before else (nn.ReLU(),)),
        )


class Block(nn.Module):
    """Three separable convolutions and a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int], stride: int, rate: int) -> None:
        super().__init__()
        first, second, third = widths
        self.begin = nn.Sequential(
            SeparableConv(in_channels, first, rate=rate, before=True),
            SeparableConv(first, second, rate=rate, before=True),
        )
        self.end = SeparableConv(second, third, stride, rate, before=True)
        same = stride == 1 and third == in_channels
        self.shortcut = nn.Identity() if same else ConvBNAct(in_channels, third, 1, stride, activation=None)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's answer, and what its first two convolutions made, before the stride."""
        inner: Tensor = self.begin(x)
        return self.end(inner) + self.shortcut(x), inner


class Xception65(nn.Module):
    """Aligned Xception of 65 layers: strided convolutions in the place of pooling."""

    def __init__(self, strides: Strides, in_chans: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBNAct(in_chans, 32, 3, 2), ConvBNAct(32, 64, 3))
        self.blocks = nn.ModuleList()
        channels = 64
        for widths, stride in BLOCKS:
            self.blocks.append(Block(channels, widths, *strides.take(stride)))
            channels = widths[-1]
        _, rate = strides.take(1)
        self.exit = nn.Sequential()
        for width in EXIT:
            self.exit.append(SeparableConv(channels, width, rate=rate))
            channels = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last map, and the one of a stride of 4 that the decoder takes."""
        x, fine = self.stem(x), x
        for index, block in enumerate(self.blocks):
            x, inner = block(x)
            if index == FINE_BLOCK:
                fine = inner
        return self.exit(x), fine


class Pyramid(nn.Module):
    """The mean of the whole map, a 1x1 convolution and one atrous separable convolution per rate, side by side."""

    def __init__(self, in_channels: int, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvBNAct(in_channels, DEPTH))
        self.branches = nn.ModuleList([ConvBNAct(in_channels, DEPTH)])
        self.branches.extend(SeparableConv(in_channels, DEPTH, rate=rate) for rate in rates)
        self.project = nn.Sequential(ConvBNAct((2 + len(rates)) * DEPTH, DEPTH), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        mean = resize(self.pool(x), x.shape[2:])
        projected: Tensor = self.project(torch.cat([mean, *(branch(x) for branch in self.branches)], dim=1))
        return projected


class DeepLabV3MobileNetV2(nn.Module):
    """DeepLabv3 on the last bottleneck of MobileNetV2, without atrous rates in the head.

    `width` scales the channels of the backbone alone, and rounds them to whole numbers, not to multiples of 8.
    """

    def __init__(
        self,
        width: float = 1.0,
        output_stride: int = 16,
        num_classes: int = 21,
        in_chans: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        strides = Strides(output_stride)
        channels = make_divisible(32 * width, 1)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.ReLU6)]
        for t, c, n, s in STAGES:
            out = make_divisible(c * width, 1)
            for repeat in range(n):
                stride, rate = strides.take(s if repeat == 0 else 1)
                expanded = make_divisible(t * channels) if t > 1 else channels
                layers.append(_dilated(InvertedResidual(channels, expanded, out, 3, stride, nn.ReLU6), rate))
                channels = out
        self.features = nn.Sequential(*layers)
        self.pyramid = Pyramid(channels, (), dropout)
        self.classifier = nn.Conv2d(DEPTH, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classifier(self.pyramid(self.features(x))), x.shape[2:])


class DeepLabV3PlusXception65(nn.Module):
    """DeepLabv3+ on Xception-65: the pyramid at the output stride, a decoder at a stride of 4."""

    def __init__(self, output_stride: int = 16, num_classes: int = 21, in_chans: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.features = Xception65(Strides(output_stride), in_chans)
        self.pyramid = Pyramid(EXIT[-1], [rate * 16 // output_stride for rate in RATES], dropout)
        self.fine = ConvBNAct(BLOCKS[FINE_BLOCK][0][1], FINE_DEPTH)
        self.decoder = nn.Sequential(SeparableConv(DEPTH + FINE_DEPTH, DEPTH), SeparableConv(DEPTH, DEPTH))
        self.classifier = nn.Conv2d(DEPTH, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        coarse, fine = self.features(x)
        coarse = resize(self.pyramid(coarse), fine.shape[2:])
        decoded = self.decoder(torch.cat([coarse, self.fine(fine)], dim=1))
        return resize(self.classifier(decoded), x.shape[2:])


def _dilated(block: InvertedResidual, rate: int) -> InvertedResidual:
    """`block` with its depthwise convolution spread by `rate`."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.dilation = layer.padding = (rate, rate)
    return block
