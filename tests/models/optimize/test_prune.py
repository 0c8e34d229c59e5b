"""Pruning over the families of the zoo: what is left is consistent, cheaper, and exported like any network."""

import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

import models
from models import weights
from models.cost import multiply_adds, parameters
from models.errors import ModelError
from models.optimize import narrow, widths
from models.optimize.prune import Prune
from tests.models.optimize.networks import SIDE, answer, build

pytest.importorskip("torch_pruning")
SHAPE = (3, SIDE, SIDE)
# Plain, residual, gated, concatenated, split and shuffled, ghosts, attention beside a perceptron
FAMILIES = {
    "mobilenet_v1_0.25": 0.5,
    "mobilenet_v2_0.35": 0.5,
    "mobilenet_v3_small_0.5": 0.5,
    "squeezenet_1.1": 0.5,
    "shufflenet_v2_0.5": 0.3,
    "ghostnet_0.5": 0.3,
    "mnasnet_small": 0.5,
    "efficientnet_lite0": 0.5,
}


class Residual(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.inner = nn.Sequential(
            nn.Conv2d(width, 48, 1), nn.PReLU(48), nn.Conv2d(48, 48, 3, padding=1, groups=48), nn.Conv2d(48, width, 1)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.inner(x))


class Reordered(Residual):
    """Turns its channels round between two layers, in a way that no one can see in the shapes."""

    def forward(self, x):
        x = self.stem(x)
        order = torch.arange(x.shape[1] - 1, -1, -1)
        return self.head(x.index_select(1, order) + self.inner(x))


@pytest.mark.parametrize(("name", "removed"), FAMILIES.items())
def test_a_family_keeps_its_shape_and_loses_its_share(name, removed):
    network = build(name)
    before, cost = parameters(network), multiply_adds(network, SHAPE)
    layers = Prune(removed).apply(network, SHAPE)
    assert answer(network).shape == (2, 10)
    assert torch.isfinite(answer(network)).all()
    assert 1 - removed - 0.12 < multiply_adds(network, SHAPE) / cost <= 1 - removed
    assert parameters(network) < before
    again = models.create(name, num_classes=10)
    Prune(removed).rebuild(again, layers)
    again.load_state_dict(network.state_dict(), strict=True)
    torch.testing.assert_close(answer(again), answer(network), rtol=0, atol=0)


def test_the_channels_of_least_weight_go_from_all_layers_that_share_them():
    network = Residual()
    weights.initialize(network, 16)
    with torch.no_grad():
        for layer in (network.stem[0], network.inner[3]):
            layer.weight[::2] = 0.001  # written by two layers, read by two
        for layer in (network.inner[0], network.head[2]):
            layer.weight[:, ::2] = 0.001
        network.stem[1].weight[::2] = 0.001
    full = copy.deepcopy(network)
    layers = Prune(0.5).apply(network, (3, 16, 16))
    kept = network.stem[0].weight.shape[0]
    assert layers["stem.1"] == {"num_features": kept}
    assert layers["inner.2"]["groups"] == layers["inner.1"]["num_parameters"] == layers["inner.0"]["out_channels"]
    assert layers["head.2"] == {"in_features": kept, "out_features": 5}
    assert torch.equal(network.head[2].weight, full.head[2].weight[:, 1::2][:, :kept])


def test_widths_are_those_that_vector_units_like():
    network = build("mobilenet_v2_0.35")
    Prune(0.4).apply(network, SHAPE)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert all(layer.out_channels % narrow.DIVISOR == 0 for layer in convolutions)


def test_what_would_compute_something_else_is_not_pruned():
    """torch-pruning takes the reordered channels for the same ones; the proof by zeros does not."""
    network = Reordered()
    weights.initialize(network, 16)
    layers = Prune(0.3).apply(network, (3, 16, 16))
    assert set(layers) == {"inner.0", "inner.1", "inner.2", "inner.3"}
    assert network.stem[0].out_channels == network.inner[3].out_channels == 32


@pytest.mark.parametrize("name", ["shufflenet_v1_g3_0.5", pytest.param("igcv3_d_1.0", marks=pytest.mark.zoo)])
def test_networks_that_cannot_be_followed_are_refused_with_the_reason(name):
    with pytest.raises(ModelError, match=r"prune.*: (no part of this network|the channels of this network)"):
        Prune(0.5).apply(build(name), SHAPE)


def test_more_than_there_is_is_refused():
    with pytest.raises(ModelError, match=r"prune=0\.95: the channels .* are \d+% of its multiply-adds; ask for less"):
        Prune(0.95).apply(build("shufflenet_v2_0.5"), SHAPE)


def test_without_torch_pruning_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(ModelError, match=r"prune needs torch-pruning .* pip install 'edgebench\[optimize\]'"):
        Prune(0.5).apply(Residual(), (3, 16, 16))


@pytest.mark.parametrize(
    "layers",
    [
        {"stem.0": {"out_channels": 64, "in_channels": 3, "groups": 1}},
        {"stem.0": {"out_channels": 0, "in_channels": 3, "groups": 1}},
        {"stem.0": {"out_channels": 16}},
        {"stem.9": {"num_features": 16}},
        {"stem": {}},
        {"inner.2": {"out_channels": 47, "in_channels": 48, "groups": 48}},
    ],
)
def test_a_record_of_another_network_is_refused(layers):
    with pytest.raises(ModelError, match=r"the network has no layer|is no convolution"):
        widths.set_all(Residual(), layers)


@pytest.mark.export
@pytest.mark.parametrize(
    "name",
    [
        "squeezenet_1.1",
        pytest.param("mobilenet_v2_0.35", marks=pytest.mark.zoo),
        pytest.param("shufflenet_v2_0.5", marks=pytest.mark.zoo),
        pytest.param("mobilenet_v3_small_0.5", marks=pytest.mark.zoo),
    ],
)
def test_a_pruned_network_is_exported_to_both_formats(name, tmp_path):
    from models.export import onnx, parity, tflite

    network = build(name)
    Prune(0.3).apply(network, SHAPE)
    image = np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        reference = network(torch.from_numpy(image)).numpy()
    onnx.export(network, (1, *SHAPE), tmp_path / "model.onnx")
    parity.check(parity.OnnxRunner(tmp_path / "model.onnx")([image])[0], reference)
    tflite.export(network, (1, *SHAPE), tmp_path / "model.tflite")
    fed = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    parity.check(parity.TfliteRunner(tmp_path / "model.tflite")([fed])[0], reference)
