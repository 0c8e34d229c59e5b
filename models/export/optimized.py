"""A network that is transformed before it is exported."""

from __future__ import annotations

from dataclasses import replace

from models.errors import ModelError, UnsupportedModel
from models.export import checkpoint, partner, zoo
from models.export.network import Network
from models.export.orders import OptimizedOrder
from models.optimize import table


def load(order: OptimizedOrder) -> Network:
    """Build and transform the network of an order. Raises UnsupportedModel where that cannot be done to it.

    Raises what else loading the network raises.
    """
    inner = order.network
    if inner.kind == "partner":
        network = partner.load(inner)
    else:
        network = zoo.load(inner) if inner.kind == "zoo" else checkpoint.load(inner)
    try:
        table.apply(network.module, table.parse(order.optimize), network.shape)
    except ModelError as error:
        raise UnsupportedModel(f"{order.model}: {error}") from error
    return replace(network, module=network.module.eval(), accuracy=None)
