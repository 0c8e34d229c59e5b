"""SENet: squeeze-and-excitation in networks made without it.

Hu et al. 2017, "Squeeze-and-Excitation Networks", arXiv:1709.01507, Table 1 (SE-ResNet-50) and Table 3 (the figures of
the mobile networks). SE-ResNet-50 follows the authors' Caffe release. The paper gives no layers for SE-MobileNet and
SE-ShuffleNet: these two are reconstructions.
"""

from torch import nn

from models.zoo.layers import ConvBNAct, SqueezeExcite
from models.zoo.mobilenet_v1 import MobileNetV1
from models.zoo.resnet import REPEATS_50, ResNet
from models.zoo.shufflenet_v1 import ShuffleNetV1

REDUCTION = 16


def se_resnet50(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0) -> ResNet:
    """Gates before each addition, stride in the first 1x1 of a bottleneck, a pool that rounds up."""
    return ResNet(
        REPEATS_50,
        stride_first=True,
        ceil_pool=True,
        reduction=REDUCTION,
        num_classes=num_classes,
        in_chans=in_chans,
        dropout=dropout,
    )


def se_mobilenet_v1(
    width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.001
) -> MobileNetV1:
    """Gates after each depthwise separable unit, whose layers keep their activations."""
    network = MobileNetV1(width, num_classes, in_chans, dropout)
    stem, *convolutions = network.features
    layers = [stem]
    for layer in convolutions:
        layers.append(layer)
        last = layer[0] if isinstance(layer, ConvBNAct) else None
        if isinstance(last, nn.Conv2d) and last.groups == 1:
            layers.append(SqueezeExcite(last.out_channels, max(1, last.out_channels // REDUCTION)))
    network.features = nn.Sequential(*layers)
    return network


def se_shufflenet_v1(
    groups: int = 3, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.0
) -> ShuffleNetV1:
    """Gates (without bias) on each branch before its addition or concatenation."""
    return ShuffleNetV1(groups, width, reduction=REDUCTION, num_classes=num_classes, in_chans=in_chans, dropout=dropout)
