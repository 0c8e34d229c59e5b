"""Building blocks that several families of the zoo share.

Every convolution pads (kernel - 1) // 2 on each side, the PyTorch convention; TensorFlow's SAME padding of a stride-2
layer is asymmetric, with the same cost and the same shapes. Every batch normalization keeps PyTorch's eps of 1e-5,
also in families whose TensorFlow release uses 1e-3. A network that is to carry weights trained there follows that
convention instead, by `follow_tensorflow`.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of `divisor`, never losing more than a tenth of `value`."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * value:
        rounded += divisor
    return rounded


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of `groups` equal groups: channel i of group j becomes channel i * groups + j.

    The two spatial axes travel as one, so no tensor has more than four axes, which mobile runtimes prefer.
    """
    batch, channels, height, width = x.shape
    x = x.reshape(batch, groups, channels // groups, height * width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


class ConvBNAct(nn.Sequential):
    """Convolution (without bias unless asked), batch normalization, activation (None: linear)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU,
        bias: bool = False,
    ) -> None:
        padding = (kernel - 1) // 2
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias),
            nn.BatchNorm2d(out_channels),
        ]
        if activation is not None:
            layers.append(activation())
        super().__init__(*layers)


class ConvBNPReLU(ConvBNAct):
    """Convolution without bias, batch normalization, one learned slope per channel for negative values."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups, activation=None)
        self.append(nn.PReLU(out_channels))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channel means (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(
        self,
        channels: int,
        reduced: int,
        gate: type[nn.Module] = nn.Sigmoid,
        bias: bool = True,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=bias)
        self.activation = activation()
        self.expand = nn.Conv2d(reduced, channels, 1, bias=bias)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))
        return torch.mul(x, scale)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, optional squeeze-and-excitation, linear 1x1 projection, identity.

    Without widening (`expanded` equal to `in_channels`) there is no expansion layer, which leaves a depthwise
    separable convolution. The identity is added where stride and widths allow it, unless `skip` is False.
    """

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        out_channels: int,
        kernel: int,
        stride: int,
        activation: type[nn.Module],
        excite: SqueezeExcite | None = None,
        skip: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers.append(ConvBNAct(in_channels, expanded, activation=activation))
        layers.append(ConvBNAct(expanded, expanded, kernel, stride, groups=expanded, activation=activation))
        if excite is not None:
            layers.append(excite)
        layers.append(ConvBNAct(expanded, out_channels, activation=None))
        self.layers = nn.Sequential(*layers)
        self.skip = skip and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Softmax attention among the tokens, head by head, from (batch, tokens, 3 * width) to (batch, tokens, width).

    Queries, keys and values lie one after the other in the last axis. No tensor has more than four axes, and one
    transposition brings the heads of all three to the front.
    """
    batch, tokens, channels = qkv.shape
    head = channels // 3 // heads
    query, key, value = qkv.reshape(batch, tokens, 3 * heads, head).transpose(1, 2).chunk(3, dim=1)
    weights = torch.softmax(torch.matmul(query * head**-0.5, key.transpose(2, 3)), dim=3)
    return torch.matmul(weights, value).transpose(1, 2).reshape(batch, tokens, heads * head)


class PooledClassifier(nn.Sequential):
    """Global average pool, dropout, one linear layer.

    A mean over both axes would spare the ONNX file a Reshape, but costs the TFLite file a Transpose.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float, bias: bool = True) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(in_channels, num_classes, bias=bias),
        )


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: as little as the stride allows, the odd pixel right and below."""

    def forward(self, x: Tensor) -> Tensor:
        padding: list[int] = []
        # The last axis comes first in `pad`.
        for axis in (1, 0):
            size, kernel, stride = x.shape[axis - 2], self.kernel_size[axis], self.stride[axis]
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            padding += (total // 2, total - total // 2)
        return super().forward(nn.functional.pad(x, padding))


def follow_tensorflow(network: nn.Module) -> None:
    """Give `network` TensorFlow's padding and its eps of 1e-3; names and shapes of its parameters do not change."""
    for module in list(network.modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        for name, layer in module.named_children():
            if isinstance(layer, nn.Conv2d) and max(layer.stride) > 1:
                same = SameConv2d(
                    layer.in_channels,
                    layer.out_channels,
                    cast("tuple[int, int]", layer.kernel_size),
                    cast("tuple[int, int]", layer.stride),
                    groups=layer.groups,
                    bias=layer.bias is not None,
                    device=layer.weight.device,
                )
                same.load_state_dict(layer.state_dict())
                setattr(module, name, same)
