"""What a transformation of a network is; `models.optimize.table` says which there are. Nothing here needs PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from models.errors import ModelError
from results.records import Record, Text, Word

if TYPE_CHECKING:
    from torch import nn

LEAST_SHARE, GREATEST_SHARE = 0.01, 0.99
_MAX_LAYERS = 10_000

Facts = Annotated[dict[Word, Annotated[int, Field(ge=0, le=2**24)]], Field(max_length=8)]
Layers = Annotated[dict[Text, Facts], Field(max_length=_MAX_LAYERS)]
"""Of each layer that was changed, by its name in the network, what is needed to make it again: widths, a rank."""

Shape = tuple[int, int, int]
"""Channels, height and width of one image."""


class Applied(Record):
    """A transformation that was applied, as a checkpoint keeps it: its name ("prune0.5") and the layers it changed."""

    transformation: Word
    layers: Layers


class Transformation(ABC):
    """A change of a network in place. Its text is what stands in a model's name, like "prune0.5"."""

    keyword: ClassVar[str]
    usage: ClassVar[str]
    """What to write for it, in an error message."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What `apply` needs besides PyTorch, by the names under which they are installed."""
    only_by_training: ClassVar[bool] = False
    """Whether `apply` alone changes nothing."""
    rate: ClassVar[float] = 0.02
    """The highest learning rate of the training after it, where nothing else is asked for."""

    @classmethod
    @abstractmethod
    def parse(cls, amount: str) -> Self:
        """Read what stands behind the keyword. Raises ModelError."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def apply(self, network: nn.Module, shape: Shape) -> Layers:
        """Change a trained network for images of `shape`; return what was done. Raises ModelError.

        The same weights are changed in the same way wherever it is done.
        """

    @abstractmethod
    def rebuild(self, network: nn.Module, layers: Layers) -> None:
        """Give a network the structure that `apply` gave another one, whatever its weights. Raises ModelError."""

    @contextmanager
    def training(self, network: nn.Module, shape: Shape) -> Iterator[nn.Module]:
        """Yield what is trained in the place of a transformed network, which at the end has its weights."""
        yield network


def share(keyword: str, amount: str) -> float:
    """Read a share of the multiply-adds, like 0.5. Raises ModelError."""
    try:
        value = round(float(amount), 3)
    except ValueError:
        value = -1.0
    if not LEAST_SHARE <= value <= GREATEST_SHARE:
        raise ModelError(
            f"{keyword} takes the share of multiply-adds to remove, from {LEAST_SHARE} to {GREATEST_SHARE} "
            f"({keyword}=0.5), not {amount!r}"
        )
    return value


def replace(network: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` in the place of the layer of that name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
