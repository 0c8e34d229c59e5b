"""MicroNet: factorized pointwise and depthwise convolutions, and dynamic shift-max as activation.

Li et al. 2021, "MicroNet: Improving Image Recognition with Extremely Low FLOPs", arXiv:2108.05894, Table 1, Figures
2 to 4 and equations 1 to 4; shuffles, gates and the h-swish on the logits are those of the authors' release.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.zoo.layers import channel_shuffle, make_divisible


class Row(NamedTuple):
    """One block: `expansion` of the two depthwise factors, `groups_in` of the compressing (G1, G2) and `groups_out`.

    The first of two groups is of a 1x1 convolution, the second of the shuffle after it; `groups_in` of (0, g) makes
    a lite block, which expands in its depthwise factors, `groups_out` of (0, 0) one that only expands. `dynamic` says
    of the three activations: 0 ReLU6 (none at the end), 1 shift-max of one branch, 2 of two. `ratio` divides the
    hidden width of the shift-max further.
    """

    stride: int
    out: int
    kernel: int
    expansion: tuple[int, int]
    groups_in: tuple[int, int]
    groups_out: tuple[int, int]
    dynamic: tuple[int, int, int]
    ratio: int


class Network(NamedTuple):
    """`stem`: channels between the two factors of the stem, and the expansion by the second one.

    `initial` is what (a1, a2, b1, b2) of a shift-max start from, before the dynamic part is added.
    """

    stem: tuple[int, int]
    rows: tuple[Row, ...]
    head: int
    dropout: float
    initial: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)


NETWORKS = {
    "m0": Network(
        (2, 2),
        (
            Row(2, 8, 3, (2, 2), (0, 4), (2, 2), (2, 0, 1), 1),
            Row(2, 12, 3, (2, 2), (0, 8), (4, 4), (2, 2, 1), 1),
            Row(2, 16, 5, (2, 2), (0, 12), (4, 4), (2, 2, 1), 1),
            Row(1, 32, 5, (1, 4), (4, 4), (4, 4), (2, 2, 1), 1),
            Row(2, 64, 5, (1, 4), (8, 8), (8, 8), (2, 2, 1), 1),
            Row(1, 96, 3, (1, 4), (8, 8), (8, 8), (2, 2, 1), 2),
            Row(1, 384, 3, (1, 4), (12, 12), (0, 0), (2, 2, 1), 2),
        ),
        head=640,
        dropout=0.05,
    ),
    "m1": Network(
        (3, 2),
        (
            Row(2, 8, 3, (2, 2), (0, 6), (2, 2), (2, 0, 1), 1),
            Row(2, 16, 3, (2, 2), (0, 8), (4, 4), (2, 2, 1), 1),
            Row(2, 16, 5, (2, 2), (0, 16), (4, 4), (2, 2, 1), 1),
            Row(1, 32, 5, (1, 6), (4, 4), (4, 4), (2, 2, 1), 1),
            Row(2, 64, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 1),
            Row(1, 96, 3, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
            Row(1, 576, 3, (1, 6), (12, 12), (0, 0), (2, 2, 1), 2),
        ),
        head=960,
        dropout=0.05,
    ),
    "m2": Network(
        (4, 2),
        (
            Row(2, 12, 3, (2, 2), (0, 8), (4, 4), (2, 0, 1), 1),
            Row(2, 16, 3, (2, 2), (0, 12), (4, 4), (2, 2, 1), 1),
            Row(1, 24, 3, (2, 2), (0, 16), (4, 4), (2, 2, 1), 1),
            Row(2, 32, 5, (1, 6), (6, 6), (4, 4), (2, 2, 1), 1),
            Row(1, 32, 5, (1, 6), (8, 8), (4, 4), (2, 2, 1), 2),
            Row(1, 64, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
            Row(2, 96, 5, (1, 6), (8, 8), (8, 8), (2, 2, 1), 2),
            Row(1, 128, 3, (1, 6), (12, 12), (8, 8), (2, 2, 1), 2),
            Row(1, 768, 3, (1, 6), (16, 16), (0, 0), (2, 2, 1), 2),
        ),
        head=1024,
        dropout=0.1,
    ),
    "m3": Network(
        (4, 3),
        (
            Row(2, 16, 3, (2, 2), (0, 12), (4, 4), (0, 2, 0), 1),
            Row(2, 24, 3, (2, 2), (0, 16), (4, 4), (0, 2, 0), 1),
            Row(1, 24, 3, (2, 2), (0, 24), (4, 4), (0, 2, 0), 1),
            Row(2, 32, 5, (1, 6), (6, 6), (4, 4), (0, 2, 0), 1),
            Row(1, 32, 5, (1, 6), (8, 8), (4, 4), (0, 2, 0), 2),
            Row(1, 64, 5, (1, 6), (8, 8), (8, 8), (0, 2, 0), 2),
            Row(1, 80, 5, (1, 6), (8, 8), (8, 8), (0, 2, 0), 2),
            Row(1, 80, 5, (1, 6), (10, 10), (8, 8), (0, 2, 0), 2),
            Row(2, 120, 5, (1, 6), (10, 10), (10, 10), (0, 2, 0), 2),
            Row(1, 120, 5, (1, 6), (12, 12), (10, 10), (0, 2, 0), 2),
            Row(1, 144, 3, (1, 6), (12, 12), (12, 12), (0, 2, 0), 2),
            Row(1, 864, 3, (1, 6), (12, 12), (0, 0), (0, 2, 0), 2),
        ),
        head=1024,
        dropout=0.1,
        initial=(1.0, 0.5, 0.0, 0.5),
    ),
}


class Shuffle(nn.Module):
    """Interleave the channels of `groups` groups."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(x, self.groups)


def shift(x: Tensor, groups: int) -> Tensor:
    """Each channel from the next position of the next of `groups` groups, around the end.

    In slices and at most four axes, which mobile runtimes prefer to a gathering of channels.
    """
    batch, channels, height, width = x.shape
    y = x.reshape(batch, groups, channels // groups, height * width)
    for axis in (1, 2):
        if y.shape[axis] > 1:
            y = torch.cat((y.narrow(axis, 1, y.shape[axis] - 1), y.narrow(axis, 0, 1)), dim=axis)
    return y.reshape(batch, channels, height, width)


class ShiftMax(nn.Module):
    """Dynamic shift-max: max over two branches of a * x + b * (x with its channels shifted).

    `a` and `b` are one number per channel, computed from all channel means and at most 2 away from their `initial`
    values (a1, a2, b1, b2). With one branch there is no maximum, and `initial` holds for its a1 and b1.
    """

    def __init__(
        self, channels: int, groups: int, reduction: int, branches: int, initial: tuple[float, float, float, float]
    ) -> None:
        super().__init__()
        squeezed = make_divisible(channels // reduction, 4)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.coefficients = nn.Sequential(
            nn.Linear(channels, squeezed),
            nn.ReLU(),
            nn.Linear(squeezed, 2 * branches * channels),
            nn.Hardsigmoid(),
        )
        self.branches = branches
        self.initial = initial
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        dynamic = 4 * self.coefficients(self.pool(x)) - 2
        parts = dynamic.reshape(batch, 2 * self.branches * channels, 1, 1).chunk(2 * self.branches, dim=1)
        shifted = shift(x, self.groups)
        a1, a2, b1, b2 = self.initial
        first: Tensor = x * (parts[0] + a1) + shifted * (parts[1] + b1)
        if self.branches == 1:
            return first
        return torch.maximum(first, x * (parts[2] + a2) + shifted * (parts[3] + b2))


class Block(nn.Module):
    """One row of the table: a lite, a full or an expanding block (Figure 4)."""

    def __init__(self, in_channels: int, row: Row, initial: tuple[float, float, float, float]) -> None:
        super().__init__()
        if row.groups_in[0] == 0:
            layers = _lite(in_channels, row, initial)
        elif row.groups_out[0] == 0:
            layers = _expanding(in_channels, row)
        else:
            layers = _full(in_channels, row, initial)
        self.layers = nn.Sequential(*layers)
        self.skip = row.stride == 1 and in_channels == row.out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class MicroNet(nn.Module):
    """`size` is "m0", "m1", "m2" or "m3"."""

    def __init__(
        self, size: str = "m1", num_classes: int = 1000, in_chans: int = 3, dropout: float | None = None
    ) -> None:
        super().__init__()
        if size not in NETWORKS:
            raise ValueError(f"MicroNet is defined for the sizes {', '.join(NETWORKS)}, not {size!r}")
        network = NETWORKS[size]
        middle, expansion = network.stem
        channels = middle * expansion
        layers: list[nn.Module] = [
            *_factors(in_chans, middle, channels, 3, 2, groups=1),
            Shuffle(middle),
            nn.ReLU6(),
        ]
        for row in network.rows:
            layers.append(Block(channels, row, network.initial))
            channels = row.out
        layers.append(nn.ReLU6())
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Hardswish(), nn.Flatten())
        self.classifier = nn.Sequential(
            nn.Linear(channels, network.head),
            nn.BatchNorm1d(network.head),
            nn.Hardswish(),
            nn.Dropout(network.dropout if dropout is None else dropout),
            nn.Linear(network.head, num_classes),
            nn.BatchNorm1d(num_classes),
            nn.Hardswish(),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def _factors(
    in_channels: int, middle: int, out_channels: int, kernel: int, stride: int, groups: int
) -> list[nn.Module]:
    """A kxk convolution factorized into kx1 and 1xk, the second one depthwise, each with batch normalization."""
    half = kernel // 2
    return [
        nn.Conv2d(in_channels, middle, (kernel, 1), (stride, 1), (half, 0), groups=groups, bias=False),
        nn.BatchNorm2d(middle),
        nn.Conv2d(middle, out_channels, (1, kernel), (1, stride), (0, half), groups=middle, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


def _pointwise(in_channels: int, out_channels: int, groups: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 1, groups=groups, bias=False), nn.BatchNorm2d(out_channels)]


def _activation(
    channels: int, groups: int, row: Row, branches: int, initial: tuple[float, float, float, float]
) -> nn.Module:
    return ShiftMax(channels, groups, 8 * row.ratio, branches, initial) if branches else nn.ReLU6()


def _last(row: Row, reduction: int) -> list[nn.Module]:
    """After the compressing convolution: shift-max of one branch where wanted, shuffle, second shuffle."""
    groups = row.groups_out[1]
    if not row.dynamic[2]:
        return [Shuffle(groups)]
    return [_single(row.out, groups, reduction), Shuffle(groups), Shuffle(row.out // 2)]


def _single(channels: int, groups: int, reduction: int) -> ShiftMax:
    return ShiftMax(channels, groups, reduction, 1, (1.0, 0.0, 0.0, 0.0))


def _lite(in_channels: int, row: Row, initial: tuple[float, float, float, float]) -> list[nn.Module]:
    """Expanding depthwise factors, then a compressing pointwise convolution."""
    middle = in_channels * row.expansion[0]
    hidden = middle * row.expansion[1]
    groups = row.groups_in[1]
    shuffles: list[nn.Module] = [Shuffle(groups)]
    if row.dynamic[1]:
        shuffles.append(Shuffle(hidden // 2))
    return [
        *_factors(in_channels, middle, hidden, row.kernel, row.stride, groups=in_channels),
        _activation(hidden, groups, row, row.dynamic[1], initial),
        *shuffles,
        *_pointwise(hidden, row.out, row.groups_out[0]),
        *_last(row, 4 * row.ratio),
    ]


def _full(in_channels: int, row: Row, initial: tuple[float, float, float, float]) -> list[nn.Module]:
    """Expanding pointwise convolution, depthwise factors, compressing pointwise convolution."""
    hidden = in_channels * row.expansion[0] * row.expansion[1]
    groups = row.groups_in[1]
    # The second shift-max pairs channels across the groups: as many groups as a group has channels.
    across = hidden // groups if groups != 1 else 1
    before, after, _ = row.dynamic
    shuffles = [Shuffle(hidden // (4 if before and after else 2))] if before or after else []
    return [
        *_pointwise(in_channels, hidden, row.groups_in[0]),
        _activation(hidden, groups, row, before, initial),
        Shuffle(groups),
        *_factors(hidden, hidden, hidden, row.kernel, row.stride, groups=hidden),
        _activation(hidden, across, row, after, initial),
        *shuffles,
        *_pointwise(hidden, row.out, row.groups_out[0]),
        *_last(row, (4 if row.out < hidden else 8) * row.ratio),
    ]


def _expanding(in_channels: int, row: Row) -> list[nn.Module]:
    """The last block: only the expanding pointwise convolution."""
    hidden = in_channels * row.expansion[0] * row.expansion[1]
    layers = _pointwise(in_channels, hidden, row.groups_in[0])
    if row.dynamic[2]:
        layers.append(_single(hidden, row.groups_in[1], 8 * row.ratio))
    return layers
