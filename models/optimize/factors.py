"""Two thin layers in the place of a dense one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.optimize.dense import Dense


def matrix(layer: Dense) -> Tensor:
    """The weights: a row per output, a column per input (and place in the kernel)."""
    return layer.weight.detach().flatten(1)


def factorize(layer: Dense, rank: int) -> nn.Sequential:
    """The two layers of `rank` whose product is nearest to the weights; at full rank they compute the same."""
    first, second = pair = thin(layer, rank)
    u, s, v = torch.linalg.svd(matrix(layer).double(), full_matrices=False)
    root = s[:rank].sqrt()  # half to each, so that neither is much larger than the other
    with torch.no_grad():
        first.weight.copy_((root[:, None] * v[:rank]).reshape(first.weight.shape))
        second.weight.copy_((u[:, :rank] * root).reshape(second.weight.shape))
        if layer.bias is not None and second.bias is not None:
            second.bias.copy_(layer.bias)
    return nn.Sequential(*pair).train(layer.training)


def thin(layer: Dense, rank: int) -> tuple[Dense, Dense]:
    """Two layers through `rank` channels, of any weights, that take and give what the dense one does."""
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=bias)
    first = type(layer)(
        layer.in_channels,
        rank,
        layer.kernel_size,  # type: ignore[arg-type] # two numbers, of which torch's annotation does not say how many
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=layer.padding_mode,
    )
    return first, nn.Conv2d(rank, layer.out_channels, 1, bias=bias)
