"""Weight clustering: few values, kept while they are learned, and what a compressed file makes of it."""

import copy
import zlib

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn

from models.errors import ModelError
from models.optimize import values
from models.optimize.cluster import Cluster
from models.optimize.dense import dense_layers
from models.optimize.fold import fold_batch_norms
from tests.models.optimize.networks import SIDE, answer, build

SHAPE = (3, SIDE, SIDE)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(1, 400), st.integers(0, 99))
def test_a_tensor_has_at_most_so_many_values(count, size, seed):
    weight = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    found = values.shared(weight, count)
    assert found.shape == weight.shape
    assert found.unique().numel() <= count
    nearest = (weight[:, None] - found.unique()).abs().min(dim=1).values
    torch.testing.assert_close((weight - found).abs(), nearest, rtol=1e-4, atol=1e-5)


def test_few_values_stay_as_they_are():
    weight = torch.tensor([[1.0, -2.0], [1.0, 0.5]])
    assert values.shared(weight, 3) is weight


@pytest.mark.parametrize("name", ["mobilenet_v2_0.35", "efficientnet_lite0", "shufflenet_v2_0.5", "ghostnet_1.0"])
def test_folding_changes_no_answer(name):
    network = build(name)
    before = answer(network)
    fold_batch_norms(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    torch.testing.assert_close(answer(network), before, rtol=1e-4, atol=1e-5)


def test_every_large_dense_layer_of_a_network_shares_its_weights():
    network = build("mobilenet_v1_0.25")
    layers = Cluster(16).apply(network, SHAPE)
    for name, layer in dense_layers(network):
        assert (name in layers) == (layer.weight.numel() >= 256)
        if name in layers:
            assert layer.weight.unique().numel() == layers[name]["values"] <= 16
    assert torch.isfinite(answer(network)).all()


def test_learning_keeps_them_together():
    network = build("mobilenet_v1_0.25")
    layers = Cluster(4).apply(network, SHAPE)
    before = copy.deepcopy(network)
    with Cluster(4).training(network, SHAPE) as trained:
        torch.testing.assert_close(answer(trained), answer(before), rtol=0, atol=0)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.01)
        trained.train()(torch.randn(4, *SHAPE)).square().sum().backward()
        optimizer.step()
    for name in layers:
        new, old = network.get_submodule(name).weight, before.get_submodule(name).weight
        assert not torch.equal(new, old)
        for value in old.unique():
            assert new[old == value].unique().numel() == 1


def test_a_value_moves_by_the_mean_of_the_gradients_of_its_weights():
    network = nn.Sequential(nn.Linear(8, 8, bias=False))
    layer = network[0]
    layer.weight.data = torch.tensor([-1.0, 1.0])[torch.arange(64) % 2].reshape(8, 8)
    x = torch.arange(8.0)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    values.hold(layer)
    layer(x).square().sum().backward()
    at = layer.parametrizations.weight[0].places
    expected = torch.stack([gradient[at == place].mean() for place in range(2)])
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, expected)


def test_without_weights_enough_it_is_refused():
    with pytest.raises(ModelError, match="cluster64: no layer has 1024 weights or more"):
        Cluster(64).apply(nn.Sequential(nn.Linear(8, 8)), SHAPE)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.cluster", None)
    with pytest.raises(ModelError, match=r"scikit-learn .* pip install 'edgebench\[optimize\]'"):
        values.shared(torch.randn(100), 4)


@pytest.mark.export
def test_the_values_survive_the_export_and_compress(tmp_path):
    from models.export import onnx as exporter

    sizes = {}
    for clustered in (False, True):
        network = build("mobilenet_v1_0.25")
        if clustered:
            Cluster(16).apply(network, SHAPE)
        path = tmp_path / f"{clustered}.onnx"
        exporter.export(network.eval(), (1, *SHAPE), path)
        sizes[clustered] = len(path.read_bytes()), len(zlib.compress(path.read_bytes()))
        weights = [numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
        large = [weight for weight in weights if weight.ndim > 1 and weight.size >= 256 and weight.shape[1] > 1]
        assert large
        assert all(np.unique(weight).size <= 16 for weight in large) == clustered
    assert sizes[True][0] == pytest.approx(sizes[False][0], rel=0.02)  # as large as before
    assert sizes[True][1] < 0.3 * sizes[False][1]
