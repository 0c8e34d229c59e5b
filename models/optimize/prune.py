"""Structured pruning: whole channels are removed, in every layer that shares them.

Which layers share a channel is followed by torch-pruning (Fang et al. 2023, "DepGraph", arXiv:2301.12900); which
channels matter least is told by the norm of all their weights (Li et al. 2017, arXiv:1608.08710, over the whole group).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from models.optimize.base import Layers, Shape, Transformation, share

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Prune(Transformation):
    """Remove channels until `removed` of a network's multiply-adds are gone, the same share of every layer's."""

    removed: float
    keyword: ClassVar[str] = "prune"
    usage: ClassVar[str] = "prune=SHARE"
    packages: ClassVar[tuple[str, ...]] = ("torch-pruning",)

    @classmethod
    def parse(cls, amount: str) -> Self:
        """A share of the multiply-adds."""
        return cls(share(cls.keyword, amount))

    def __str__(self) -> str:
        return f"{self.keyword}{self.removed:g}"

    def apply(self, network: nn.Module, shape: Shape) -> Layers:
        """Raises ModelError where torch-pruning is not installed or cannot follow enough of the network's channels."""
        from models.optimize import narrow, widths

        before = widths.of(network)
        narrow.narrow(network, shape, self.removed)
        return {name: found for name, found in widths.of(network).items() if found != before[name]}

    def rebuild(self, network: nn.Module, layers: Layers) -> None:
        """With the widths of the record."""
        from models.optimize import widths

        widths.set_all(network, layers)
