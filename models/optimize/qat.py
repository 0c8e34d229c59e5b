"""Quantization-aware training: the network learns while its weights and activations are rounded to 8 bits.

Jacob et al. 2018, arXiv:1712.05877, section 3. The structure does not change and nothing of the rounding is kept but
the weights, which have learned to bear it: every runtime's own recipe for int8 (`models.export.precision`) makes its
file of them. A file with the ranges of the training inside, as torchao and litert-torch could write it, would fix one
grid for all runtimes, which is not the fastest of any but one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from models.errors import ModelError
from models.optimize.base import Layers, Shape, Transformation

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class QuantizationAware(Transformation):
    """Train with simulated int8: unsigned activations per tensor, signed weights per channel, as the exported files."""

    keyword: ClassVar[str] = "qat"
    usage: ClassVar[str] = "qat"
    packages: ClassVar[tuple[str, ...]] = ("torchao",)
    only_by_training: ClassVar[bool] = True
    rate: ClassVar[float] = 0.005

    @classmethod
    def parse(cls, amount: str) -> Self:
        """It takes nothing."""
        if amount:
            raise ModelError(f"qat takes nothing behind it, not {amount!r}")
        return cls()

    def __str__(self) -> str:
        return self.keyword

    def apply(self, network: nn.Module, shape: Shape) -> Layers:
        """Nothing happens before the training. Raises ModelError where what it takes is not installed."""
        from models.optimize.rounding import torchao

        torchao()
        return {}

    def rebuild(self, network: nn.Module, layers: Layers) -> None:
        """The structure is that of the network."""

    @contextmanager
    def training(self, network: nn.Module, shape: Shape) -> Iterator[nn.Module]:
        """Trained is a graph of the network with rounding in it, on batches of 2 or more images of `shape`."""
        from models.optimize.rounding import Rounding

        rounding = Rounding(network, shape)
        yield rounding
        network.load_state_dict(rounding.learned(), strict=True)
