"""Weight clustering: the weights of a layer share few values, found by k-means.

Han et al. 2016, "Deep Compression", arXiv:1510.00149, section 3. No runtime here computes with shared values: the
file is as large as before and as fast, and only a compressed one (a download, an app package) is smaller.
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

    from models.optimize.dense import Dense

LEAST_VALUES, GREATEST_VALUES = 2, 256
# A depthwise layer holds few of the weights, and each of its channels a range of its own.
_WEIGHTS_PER_VALUE = 16


@dataclass(frozen=True)
class Cluster(Transformation):
    """At most `values` different weights in every dense layer with enough of them.

    Batch normalization is folded into the convolutions first: folded later, by the exporter, it would give every
    channel values of its own.
    """

    values: int
    keyword: ClassVar[str] = "cluster"
    usage: ClassVar[str] = "cluster=VALUES"
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)
    rate: ClassVar[float] = 0.0002  # without normalization

    @classmethod
    def parse(cls, amount: str) -> Self:
        """A number of values."""
        values = int(amount) if amount.isdigit() and len(amount) < 4 else 0
        if not LEAST_VALUES <= values <= GREATEST_VALUES:
            raise ModelError(
                f"cluster takes the number of values in a layer, from {LEAST_VALUES} to {GREATEST_VALUES} "
                f"(cluster=16), not {amount!r}"
            )
        return cls(values)

    def __str__(self) -> str:
        return f"{self.keyword}{self.values}"

    def apply(self, network: nn.Module, shape: Shape) -> Layers:
        """Raises ModelError where no layer has weights enough, and where scikit-learn is not installed."""
        from models.optimize import values
        from models.optimize.fold import fold_batch_norms

        fold_batch_norms(network)
        layers = self._layers(network)
        if not layers:
            raise ModelError(f"{self}: no layer has {_WEIGHTS_PER_VALUE * self.values} weights or more")
        for module in layers.values():
            module.weight.data = values.shared(module.weight, self.values)
        return {name: {"values": module.weight.unique().numel()} for name, module in layers.items()}

    def rebuild(self, network: nn.Module, layers: Layers) -> None:
        """Folded; the values come with the weights."""
        from models.optimize.fold import fold_batch_norms

        fold_batch_norms(network)

    @contextmanager
    def training(self, network: nn.Module, shape: Shape) -> Iterator[nn.Module]:
        """What is learned are the values; which weight has which stays as it is (section 3.3 of the paper)."""
        from models.optimize import values

        layers = self._layers(network)
        for module in layers.values():
            values.hold(module)
        try:
            yield network
        finally:
            for module in layers.values():
                values.release(module)

    def _layers(self, network: nn.Module) -> dict[str, Dense]:
        from models.optimize.dense import dense_layers

        least = _WEIGHTS_PER_VALUE * self.values
        return {name: layer for name, layer in dense_layers(network) if layer.weight.numel() >= least}
