"""Models to measure: the zoo in PyTorch, published facts about it, exports and artifacts.

Importing this package does not import PyTorch; building a network does.
"""

import builtins
from typing import TYPE_CHECKING, Any, cast

from models.errors import ModelError, UnknownModel
from models.zoo import catalog

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelError", "UnknownModel", "create", "list"]


def create(name: str, *, num_classes: int | None = None, in_chans: int = 3, **arguments: Any) -> "nn.Module":
    """Build a network of the zoo, e.g. "mobilenet_v2_1.0", with PyTorch's default random weights.

    `arguments` are those of the family's class or function in `models.zoo`, such as `width`, `depth` or `dropout`, in
    the place of the variant's own; so is `num_classes`, 1000 for a classifier and 21 for a network that segments. An
    unknown name raises `UnknownModel`, whose message has the nearest names; an argument that the family does not take,
    or a number for which there is no such network, raises `ModelError`.
    `models.weights.initialize` gives weights that behave numerically like trained ones.
    """
    from importlib import import_module
    from inspect import signature

    variant = catalog.get(name)
    least, greatest = catalog.MULTIPLIERS
    for argument in ("width", "depth"):
        if not least <= arguments.get(argument, 1.0) <= greatest:
            raise ModelError(f"{name}: {argument} must be from {least} to {greatest}, not {arguments[argument]}")
    num_classes = variant.classes if num_classes is None else num_classes
    if num_classes < 1 or in_chans < 1:
        raise ModelError(f"{name}: num_classes and in_chans must be 1 or more, not {num_classes} and {in_chans}")
    module, _, factory = variant.factory.partition(":")
    build = getattr(import_module(module), factory)
    accepted = signature(build).parameters
    for argument in arguments:
        if argument not in accepted:
            raise ModelError(f"{name} takes {', '.join(accepted)}; not {argument}")
    try:
        network = build(**{**variant.arguments, **arguments}, num_classes=num_classes, in_chans=in_chans)
    except ValueError as exc:
        raise ModelError(f"{name}: there is no such network ({exc})") from exc
    return cast("nn.Module", network)


def list(pattern: str = "*") -> builtins.list[str]:
    """Names of the zoo that match a wildcard pattern, in catalog order."""
    return catalog.names(pattern)
