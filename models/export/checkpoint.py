"""A network with the weights of a checkpoint, ready to be exported."""

from __future__ import annotations

from pathlib import Path

from models.errors import UnreadableModel
from models.export.network import Network
from models.export.orders import CheckpointOrder
from models.train import checkpoint
from results.files import sha256_of


def load(order: CheckpointOrder) -> Network:
    """Build the network of an order. Raises UnreadableModel where the file is another by now, or damaged."""
    path = Path(order.path)
    module, trained = checkpoint.load(path)
    if sha256_of(path) != order.sha256:
        raise UnreadableModel(f"{path}: was replaced meanwhile; start again")
    return Network(
        module,
        (3, trained.recipe.size, trained.recipe.size),
        trained.recipe.preprocessing.facts(),
        trained.dataset,
        accuracy=trained.tested.accuracy if trained.tested else None,
    )
