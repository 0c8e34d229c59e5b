"""A variant of the zoo, ready to be exported: random weights, or those trained on ImageNet."""

from __future__ import annotations

import models
from models.export import recipe
from models.export.network import Network, one_thread
from models.export.orders import ZooOrder
from models.zoo import catalog


def load(order: ZooOrder) -> Network:
    """Build the network of an order. Raises ModelError where its trained weights cannot be had."""
    variant = catalog.get(order.variant)
    shape = (3, variant.resolution, variant.resolution)
    preprocessing = variant.preprocessing.facts()
    if order.weights == "imagenet":
        from models import pretrained

        module, origin = pretrained.create(variant.name)
        label = f"imagenet ({origin.package} {origin.version})"
        return Network(module, shape, preprocessing, label, origin)
    from models import weights

    module = models.create(variant.name)
    with one_thread():
        weights.initialize(module, variant.resolution, seed=recipe.WEIGHTS_SEED)
    return Network(module, shape, preprocessing)
