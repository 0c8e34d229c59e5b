"""A network that is transformed before it is exported."""

from __future__ import annotations

from dataclasses import replace

from models.errors import ModelError, UnsupportedModel
from models.export.network import Network
from models.export.orders import OptimizedOrder
from models.optimize import table


def transformed(network: Network, order: OptimizedOrder) -> Network:
    """Transform the network of the order inside. Raises UnsupportedModel where that cannot be done to it."""
    try:
        table.apply(network.module, table.parse(order.optimize), network.shape)
    except ModelError as error:
        raise UnsupportedModel(f"{order.model}: {error}") from error
    return replace(network, module=network.module.eval(), accuracy=None)
