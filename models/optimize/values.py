"""Weights that share few values: finding them, and learning them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.errors import ModelError
from models.optimize.dense import Dense


def shared(weight: Tensor, values: int) -> Tensor:
    """The weights, each the nearest of at most `values` values by k-means; the same ones for the same weights.

    Raises ModelError where scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ModelError(f"cluster needs scikit-learn ({error}): pip install 'edgebench[optimize]'") from error
    column = weight.detach().double().reshape(-1, 1).numpy()
    if np.unique(column).size <= values:
        return weight
    # Evenly over the range, which keeps the few large weights ("linear" in Deep Compression, where it does best).
    first = np.linspace(column.min(), column.max(), values)[:, None]
    with threadpool_limits(1):  # sums in one order
        found = KMeans(values, init=first, n_init=1, max_iter=100).fit(column)
    return torch.from_numpy(found.cluster_centers_[found.labels_].reshape(weight.shape)).to(weight.dtype)


def hold(layer: Dense) -> None:
    """Let a layer learn its values instead of its weights; which weight has which stays as it is."""
    parametrize.register_parametrization(layer, "weight", _SharedValues(layer.weight))


def release(layer: Dense) -> None:
    """Make ordinary weights of the values."""
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)


class _SharedValues(nn.Module):
    """A layer's weights, looked up among its values.

    The gradient of a value is the mean of those of its weights: of the steps that keep them together, the nearest to
    the step that each would take alone. Their sum, as in the paper, is a step thousands of times as long.
    """

    places: Tensor
    counts: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        _, places, counts = weight.detach().unique(return_inverse=True, return_counts=True)
        self.register_buffer("places", places)
        self.register_buffer("counts", counts)

    def forward(self, values: Tensor) -> Tensor:
        constant = values.detach()
        values = constant + (values - constant) / self.counts  # the very values, with that gradient
        weight: Tensor = nn.functional.embedding(self.places, values[:, None])[..., 0]
        return weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        values: Tensor = weight.unique()
        return values
