"""Networks of searched cells: NASNet, PNASNet and AmoebaNet stack theirs by the same rules.

Zoph et al. 2017, arXiv:1707.07012, Figure 2 and Appendix A; details the papers leave out (the shifted path of a
reduction, which states are concatenated, how widths are matched) follow the releases in TF-slim (nets/nasnet) and
tensorflow/tpu (models/official/amoeba_net). The auxiliary head and drop-path act in training alone and are absent.
Convolutions have no bias; pooling pads symmetrically, and padding does not count in an average. Normalization has the
releases' eps of 1e-3.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import PooledClassifier

EPS = 1e-3
Pair = tuple[str, int, str, int]


@dataclass(frozen=True)
class CellTable:
    """What one cell computes.

    State 0 is the output of the cell before, state 1 that of the one before it. Each of `pairs` (operation, state,
    operation, state) adds one more state, the sum of two operations. The states `joined` are concatenated.
    """

    pairs: tuple[Pair, ...]
    joined: tuple[int, ...]


class ReluConvBN(nn.Sequential):
    """ReLU first, then a convolution and batch normalization."""

    def __init__(
        self, in_channels: int, channels: int, kernel: tuple[int, int] = (1, 1), stride: tuple[int, int] = (1, 1)
    ) -> None:
        padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(channels, eps=EPS),
        )


class Separable(nn.Sequential):
    """Twice: ReLU, depthwise, pointwise, batch normalization. The stride is the first depthwise convolution's."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        layers: list[nn.Module] = []
        for ins, step in ((in_channels, stride), (channels, 1)):
            layers += (
                nn.ReLU(),
                nn.Conv2d(ins, ins, kernel, step, (kernel - 1) // 2, groups=ins, bias=False),
                nn.Conv2d(ins, channels, 1, bias=False),
                nn.BatchNorm2d(channels, eps=EPS),
            )
        super().__init__(*layers)


class SubsampledConv(nn.Conv2d):
    """1x1 convolution, without bias, of every second row and column.

    The releases subsample first and convolve then with a stride of 1, which stays the layer's own. Computed as one
    convolution it spares TFLite's XNNPACK delegate an operator that it leaves to the interpreter: a fifth of the time
    of a whole NASNet-A mobile.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=2)


class FactorizedReduction(nn.Module):
    """Half the size by two 1x1 convolutions, one on the even pixels and one on the odd, concatenated.

    Beyond the last row and column the odd pixels are zeros.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.even = SubsampledConv(in_channels, channels // 2)
        self.odd = SubsampledConv(in_channels, channels - channels // 2)
        self.norm = nn.BatchNorm2d(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        y = torch.cat((self.even(x), self.odd(shifted)), dim=1)
        normalized: Tensor = self.norm(y)
        return normalized


class HalvingAverage(nn.Module):
    """3x3 average pool of stride 2 whose padding does not count.

    It is computed as one whose padding counts, then corrected at the border: mobile runtimes have an operator for
    that, but none for the uncounted form at this stride.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (
            torch.tensor([3 / covered for covered in self.covered(size)], dtype=x.dtype, device=x.device)
            for size in x.shape[2:]
        )
        y: Tensor = self.pool(x)
        return y * (rows[:, None] * columns)

    @staticmethod
    def covered(size: int) -> list[int]:
        """How many of `size` pixels each window of three holds along one axis."""
        return [min(start + 3, size) - max(start, 0) for start in range(-1, size - 1, 2)]


def _conv_bn(in_channels: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels, eps=EPS)]


def operation(name: str, in_channels: int, channels: int, stride: int) -> nn.Module:
    """The operation of that name in a cell table; its output has `channels`."""
    if name == "none":
        if stride == 1 and in_channels == channels:
            return nn.Identity()
        return ReluConvBN(in_channels, channels, stride=(stride, stride))
    if name in ("avg3", "max3"):
        pool: nn.Module
        if name == "max3":
            pool = nn.MaxPool2d(3, stride, 1)
        else:
            pool = HalvingAverage() if stride == 2 else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        # Only where the widths differ: a pool that keeps them is not followed by anything.
        return nn.Sequential(pool, *(_conv_bn(in_channels, channels) if in_channels != channels else ()))
    if name == "1x7_7x1":
        narrow = channels // 4
        return nn.Sequential(
            ReluConvBN(in_channels, narrow),
            ReluConvBN(narrow, narrow, (1, 7), (1, stride)),
            ReluConvBN(narrow, narrow, (7, 1), (stride, 1)),
            ReluConvBN(narrow, channels),
        )
    return Separable(in_channels, channels, int(name.removeprefix("sep")), stride)


class Cell(nn.Module):
    """One cell of width `channels`; `previous_channels` is None for the first, whose state 1 is its input itself.

    `previous_larger`: a stride lies between the two inputs, so the older one is reduced first.
    """

    def __init__(
        self,
        table: CellTable,
        in_channels: int,
        previous_channels: int | None,
        channels: int,
        stride: int,
        previous_larger: bool,
    ) -> None:
        super().__init__()
        self.previous: nn.Module = nn.Identity()
        widths = [channels, channels]
        if previous_channels is None:
            widths[1] = in_channels
        elif previous_larger:
            self.previous = nn.Sequential(nn.ReLU(), FactorizedReduction(previous_channels, channels))
        elif previous_channels != channels:
            self.previous = ReluConvBN(previous_channels, channels)
        self.current = ReluConvBN(in_channels, channels)
        self.sources = [(left, right) for _, left, _, right in table.pairs]
        # Only the two inputs of a cell are larger than its output.
        self.left = nn.ModuleList()
        self.right = nn.ModuleList()
        for left_name, left, right_name, right in table.pairs:
            self.left.append(operation(left_name, widths[left], channels, stride if left < 2 else 1))
            self.right.append(operation(right_name, widths[right], channels, stride if right < 2 else 1))
            widths.append(channels)
        self.joined = table.joined
        self.matched = nn.ModuleList()
        for state in table.joined:
            if state < 2 and stride > 1:
                self.matched.append(FactorizedReduction(widths[state], channels))
            elif widths[state] != channels:
                self.matched.append(nn.Sequential(*_conv_bn(widths[state], channels)))
            else:
                self.matched.append(nn.Identity())
        self.out_channels = channels * len(table.joined)

    def forward(self, current: Tensor, previous: Tensor | None) -> Tensor:
        older = current if previous is None else self.previous(previous)
        states = [self.current(current), older]
        for (left, right), left_operation, right_operation in zip(self.sources, self.left, self.right, strict=True):
            states.append(left_operation(states[left]) + right_operation(states[right]))
        return torch.cat([match(states[i]) for i, match in zip(self.joined, self.matched, strict=True)], dim=1)


class CellNetwork(nn.Module):
    """A stem, two cells of stride 2, then `cells` normal cells whose width doubles after one and two thirds.

    There a cell of the reduction table is inserted; without such a table (`reduction` None) the normal cell itself
    takes the stride. `filters` is the width of the first normal cell.
    """

    def __init__(
        self,
        normal: CellTable,
        reduction: CellTable | None,
        cells: int,
        filters: int,
        stem: int = 32,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        # Unlike everywhere else the stem does not pad: 224 pixels become 111.
        self.stem = nn.Sequential(nn.Conv2d(in_chans, stem, 3, 2, bias=False), nn.BatchNorm2d(stem, eps=EPS))
        plan = [(reduction or normal, filters // 4, 2), (reduction or normal, filters // 2, 2)]
        points = (cells // 3, 2 * cells // 3)
        width = filters
        for index in range(cells):
            stride = 1
            if index in points:
                width *= 2
                if reduction is None:
                    stride = 2
                else:
                    plan.append((reduction, width, 2))
            plan.append((normal, width, stride))
        self.cells = nn.ModuleList()
        channels, previous_channels, previous_larger = stem, None, False
        for table, width, stride in plan:
            cell = Cell(table, channels, previous_channels, width, stride, previous_larger)
            self.cells.append(cell)
            channels, previous_channels, previous_larger = cell.out_channels, channels, stride == 2
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        current, previous = self.stem(x), None
        for cell in self.cells:
            current, previous = cell(current, previous), current
        logits: Tensor = self.classifier(torch.relu(current))
        return logits
