"""Low-rank factorization: a dense layer becomes two thin ones, by its singular value decomposition.

Denton et al. 2014, arXiv:1404.0736, and Jaderberg et al. 2014, arXiv:1405.3866, approximate convolutions by products of
smaller ones. Here a k x k convolution becomes one with r filters and a 1x1 convolution from r channels to all, as in
Zhang et al. 2015, arXiv:1505.06798, section 3.1: of all layers of this shape the one whose weights are nearest
(Eckart and Young 1936).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from models.errors import ModelError
from models.optimize.base import Layers, Shape, Transformation, replace, share

if TYPE_CHECKING:
    from torch import nn

# Below it the two layers cost a runtime more in calls than they save in arithmetic, and few directions hold everything.
LEAST_RANK = 4


@dataclass(frozen=True)
class LowRank(Transformation):
    """Remove `removed` of the multiply-adds of every dense convolution and linear layer that is large enough."""

    removed: float
    keyword: ClassVar[str] = "lowrank"
    usage: ClassVar[str] = "lowrank=SHARE"

    @classmethod
    def parse(cls, amount: str) -> Self:
        """A share of the multiply-adds."""
        return cls(share(cls.keyword, amount))

    def __str__(self) -> str:
        return f"{self.keyword}{self.removed:g}"

    def apply(self, network: nn.Module, shape: Shape) -> Layers:
        """Raises ModelError where no layer is large enough."""
        from models.optimize.dense import dense_layers
        from models.optimize.factors import factorize, matrix

        done = {}
        for name, dense in list(dense_layers(network)):
            outputs, inputs = matrix(dense).shape
            rank = int((1 - self.removed) * outputs * inputs / (outputs + inputs))
            if rank >= LEAST_RANK:
                replace(network, name, factorize(dense, rank))
                done[name] = {"rank": rank}
        if not done:
            raise ModelError(f"{self}: no layer is large enough for two of rank {LEAST_RANK} that cost so much less")
        return done

    def rebuild(self, network: nn.Module, layers: Layers) -> None:
        """With the ranks of the record."""
        from torch import nn

        from models.optimize.dense import dense_layers
        from models.optimize.factors import matrix, thin

        dense = dict(dense_layers(network))
        for name, facts in layers.items():
            rank, most = facts.get("rank", 0), min(matrix(dense[name]).shape) if name in dense else 0
            if not 0 < rank <= most:
                raise ModelError(f"the network has no layer {name!r} of rank {rank}: the record is that of another one")
            replace(network, name, nn.Sequential(*thin(dense[name], rank)))
