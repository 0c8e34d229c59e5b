"""Low-rank factorization: exact at full rank, the nearest below, and as much cheaper as it says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.cost import multiply_adds
from models.errors import ModelError
from models.optimize.base import replace
from models.optimize.dense import dense_layers
from models.optimize.factors import factorize, matrix
from models.optimize.lowrank import LowRank
from models.zoo.layers import SameConv2d
from tests.models.optimize.networks import SIDE, answer, build

LAYERS = [
    nn.Conv2d(6, 10, 1, bias=False),
    nn.Conv2d(6, 10, 3, stride=2, padding=1),
    nn.Conv2d(5, 3, (3, 5), padding=(2, 1), dilation=2),
    SameConv2d(4, 9, 3, 2),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{type(layer).__name__} {layer.kernel_size}")
def test_at_full_rank_a_convolution_is_the_same(layer):
    x = torch.randn(2, layer.in_channels, 13, 12)
    torch.testing.assert_close(factorize(layer, min(matrix(layer).shape))(x), layer(x), rtol=1e-5, atol=1e-5)


def test_at_full_rank_a_linear_layer_is_the_same():
    layer, x = nn.Linear(12, 7), torch.randn(3, 12)
    torch.testing.assert_close(factorize(layer, 7)(x), layer(x), rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 99), st.data())
def test_below_it_is_the_nearest_of_that_rank(inputs, outputs, seed, data):
    """The squared error is the sum of the squares of the singular values left out (Eckart and Young)."""
    rank = data.draw(st.integers(1, min(inputs, outputs)))
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=False)
    first, second = factorize(layer, rank)
    assert first.weight.shape == (rank, inputs)
    error = (second.weight @ first.weight - layer.weight).double().square().sum()
    left = torch.linalg.svdvals(layer.weight.double())[rank:].square().sum()
    torch.testing.assert_close(error, left, rtol=1e-4, atol=1e-10)


def test_a_network_of_full_rank_answers_the_same():
    network = build("mobilenet_v2_0.35")
    before = answer(network)
    for name, layer in list(dense_layers(network)):
        replace(network, name, factorize(layer, min(matrix(layer).shape)))
    torch.testing.assert_close(answer(network), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("removed", [0.3, 0.5, 0.7])
def test_the_multiply_adds_of_each_layer_fall_as_said(removed):
    network = build("squeezenet_1.1")
    dense = dict(dense_layers(network))
    layers = LowRank(removed).apply(network, (3, SIDE, SIDE))
    assert layers
    for name, facts in layers.items():
        kept = sum(layer.weight.numel() for layer in network.get_submodule(name)) / dense[name].weight.numel()
        assert kept <= 1 - removed
        assert kept > 1 - removed - 1 / facts["rank"]


def test_the_whole_network_costs_less():
    network = build("mobilenet_v1_0.5")
    before = multiply_adds(network, SIDE)
    LowRank(0.5).apply(network, (3, SIDE, SIDE))
    assert multiply_adds(network, SIDE) < 0.65 * before


def test_depthwise_and_thin_layers_stay():
    network = build("mobilenet_v1_0.25")
    layers = LowRank(0.5).apply(network, (3, SIDE, SIDE))
    assert "features.0.0" not in layers  # three channels
    assert "features.1.0" not in layers  # depthwise
    assert "features.26.0" in layers


def test_where_no_layer_is_large_enough_it_is_refused():
    with pytest.raises(ModelError, match=r"lowrank0\.9: no layer is large enough"):
        LowRank(0.9).apply(nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 8, 8))


@pytest.mark.parametrize("rank", [0, 10_000])
def test_a_rank_that_cannot_be_is_refused(rank):
    with pytest.raises(ModelError, match=f"of rank {rank}"):
        LowRank(0.5).rebuild(nn.Sequential(nn.Linear(8, 8)), {"0": {"rank": rank}})
