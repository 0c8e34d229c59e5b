"""A variant of the zoo with the trained weights of its partner in timm or torchvision, ready to be exported."""

from __future__ import annotations

from dataclasses import replace

import models
from models.errors import ModelError
from models.export import library
from models.export.network import Network, one_thread
from models.export.orders import PartnerOrder


def load(order: PartnerOrder) -> Network:
    """Build the network of an order; preprocessing and all that is known of the weights are the library's.

    Raises ModelError where the library or its weights cannot be had, or the two networks do not compute the same.
    """
    from models import transfer
    from models.zoo.layers import follow_tensorflow

    theirs, ours = library.load(order.partner), models.create(order.variant)
    if order.partner.network.startswith("tf_"):
        follow_tensorflow(ours)
    try:
        with one_thread():
            transfer.transfer(theirs.module, ours, theirs.shape)
    except ModelError as error:
        raise ModelError(
            f"{order.model}: the weights of {order.partner.library}:{order.partner.network} do not fit: {error}; "
            "measure the library's own network by that name"
        ) from error
    return replace(theirs, module=ours)
