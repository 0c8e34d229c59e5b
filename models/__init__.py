"""Models to measure: the zoo in PyTorch, published facts about it, exports and artifacts.

Importing this package does not import PyTorch; building a network does.
"""

import builtins
from typing import TYPE_CHECKING, cast

from models.errors import ModelError, UnknownModel
from models.zoo import catalog

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelError", "UnknownModel", "create", "list"]


def create(name: str, *, num_classes: int = 1000, in_chans: int = 3) -> "nn.Module":
    """Build a network of the zoo, e.g. "mobilenet_v2_1.0", with PyTorch's default random weights.

    An unknown name raises `UnknownModel`, whose message has the nearest names. `models.weights.initialize` gives
    weights that behave numerically like trained ones.
    """
    from importlib import import_module

    variant = catalog.get(name)
    module, _, factory = variant.factory.partition(":")
    build = getattr(import_module(module), factory)
    return cast("nn.Module", build(**variant.arguments, num_classes=num_classes, in_chans=in_chans))


def list(pattern: str = "*") -> builtins.list[str]:
    """Names of the zoo that match a wildcard pattern, in catalog order."""
    return catalog.names(pattern)
