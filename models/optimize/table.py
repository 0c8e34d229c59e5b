"""The transformations by name, several in a row, and how they stand in the name of a model.

"mobilenet_v2_0.35+prune0.5+cluster16@48" is the network of "mobilenet_v2_0.35" for 48 x 48 images, pruned, then
clustered. Reading names needs no PyTorch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from models.errors import ModelError
from models.optimize.base import Applied, Shape, Transformation
from models.optimize.cluster import Cluster
from models.optimize.lowrank import LowRank
from models.optimize.prune import Prune
from models.optimize.qat import QuantizationAware

if TYPE_CHECKING:
    from torch import nn

# In the order in which they can follow one another: first what changes the structure, then what holds the values.
_KINDS: tuple[type[Transformation], ...] = (Prune, LowRank, Cluster, QuantizationAware)
_BY_KEYWORD = {kind.keyword: kind for kind in _KINDS}
_ONE = re.compile(r"([a-z]+)=?([0-9.]*)")


def parse(text: str) -> tuple[Transformation, ...]:
    """Read what is done to one network, like "prune=0.5+cluster=16" ("none" and "" are none). Raises ModelError."""
    if text in ("", "none"):
        return ()
    return in_order([_one(part.strip()) for part in text.split("+")])


def parse_several(text: str) -> list[tuple[Transformation, ...]]:
    """Read an axis like "none,prune=0.5,prune=0.5+cluster=16", each entry once. Raises ModelError."""
    found = [parse(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise ModelError(f"{text!r} names no transformation; none is the network as it is")
    return list(dict.fromkeys(found))


def text(done: Sequence[Transformation]) -> str:
    """The other way of `parse`: "prune0.5+cluster16"."""
    return "+".join(map(str, done)) or "none"


def split(name: str) -> tuple[str, tuple[Transformation, ...]]:
    """Take the transformations out of a model's name: what is left names the untransformed one. Raises ModelError."""
    base, at, resolution = name.partition("@")
    variant, *parts = base.split("+")
    return f"{variant}{at}{resolution}", in_order([_one(part) for part in parts])


def join(name: str, done: Sequence[Transformation]) -> str:
    """The name of a transformed model, from that of the untransformed one; the other way of `split`."""
    base, at, resolution = name.partition("@")
    return "+".join([base, *map(str, done)]) + at + resolution


def rate(done: Sequence[Transformation]) -> float:
    """The learning rate for a training after these: of several the lowest, which all of them bear."""
    return min((one.rate for one in done), default=Transformation.rate)


def in_order(wanted: Sequence[Transformation]) -> tuple[Transformation, ...]:
    """The same, when they can follow one another. Raises ModelError."""
    places = [_KINDS.index(type(transformation)) for transformation in wanted]
    if places != sorted(set(places)):
        order = ", ".join(kind.keyword for kind in _KINDS)
        asked = ", ".join(map(str, wanted))
        raise ModelError(f"{asked}: each transformation at most once, and in this order: {order}")
    if {Cluster, QuantizationAware} <= set(map(type, wanted)):
        raise ModelError("cluster and qat do not go together: both decide which values the weights may have")
    return tuple(wanted)


def apply(network: nn.Module, wanted: Sequence[Transformation], shape: Shape) -> tuple[Applied, ...]:
    """Transform a trained network in place; return the record for its checkpoint. Raises ModelError."""
    from models.export.network import one_thread

    applied = []
    with one_thread():
        for transformation in wanted:
            layers = transformation.apply(network, shape)
            applied.append(Applied(transformation=str(transformation), layers=layers))
    return tuple(applied)


def rebuild(network: nn.Module, applied: Sequence[Applied]) -> tuple[Transformation, ...]:
    """Give an untransformed network the structure of a record, ready for its weights. Raises ModelError.

    Returns the transformations, which the network's name carries and whose training goes on with `training`.
    """
    found = transformations(applied)
    for transformation, one in zip(found, applied, strict=True):
        transformation.rebuild(network, one.layers)
    return found


def transformations(applied: Sequence[Applied]) -> tuple[Transformation, ...]:
    """Those of a record. Raises ModelError."""
    return in_order([_one(one.transformation) for one in applied])


@contextmanager
def training(network: nn.Module, done: Sequence[Transformation], shape: Shape) -> Iterator[nn.Module]:
    """Yield what is trained in the place of a transformed network; at the end the network has its weights."""
    with ExitStack() as stack:
        trained = network
        for transformation in done:
            trained = stack.enter_context(transformation.training(trained, shape))
        yield trained


def _one(text: str) -> Transformation:
    """Read "prune=0.5" or "prune0.5"."""
    match = _ONE.fullmatch(text)
    kind = _BY_KEYWORD.get(match[1]) if match else None
    if match is None or kind is None:
        known = ", ".join(kind.usage for kind in _KINDS)
        raise ModelError(f"{text!r} is no transformation of a network; there are {known}")
    return kind.parse(match[2])
