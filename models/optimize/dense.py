"""Layers in which every output depends on every input: nearly all weights and multiply-adds of a network."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

Dense = nn.Linear | nn.Conv2d


def dense_layers(network: nn.Module) -> Iterator[tuple[str, Dense]]:
    """Linear layers and convolutions without groups, by name."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
            yield name, module
