"""Quantization-aware training: trained is a graph that rounds, what is left are weights that have learned it."""

import sys

import pytest
import torch
from torch import nn

from models import weights
from models.errors import ModelError
from models.optimize import table
from models.optimize.qat import QuantizationAware

pytest.importorskip("torchao")
pytestmark = pytest.mark.timeout(600)
SHAPE = (3, 16, 16)


def small():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(8, 4),
    )
    weights.initialize(network, 16)
    return network


@pytest.fixture(scope="module")
def trained():
    """A network before and after a few steps, and what the graph in its place answered."""
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    with QuantizationAware().training(network, SHAPE) as rounding:
        shapes = {name: tensor.shape for name, tensor in rounding.state_dict().items()}
        torch.testing.assert_close(rounding.learned(), before, rtol=0, atol=0)
        optimizer = torch.optim.SGD(rounding.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            rounding.train()(images).square().sum().backward()
            optimizer.step()
        assert {name: tensor.shape for name, tensor in rounding.state_dict().items()} == shapes
        with torch.no_grad():
            answer = rounding.eval()(images)
            for name, switch in rounding.named_buffers():
                if name.endswith(("fake_quant_enabled", "observer_enabled")):
                    switch.zero_()
            exact = rounding(images)
    return network, before, images, answer, exact


def test_the_network_ends_with_what_was_learned(trained):
    network, before, images, _, _ = trained
    assert set(network.state_dict()) == set(before)
    for name, tensor in network.state_dict().items():
        assert not torch.equal(tensor, before[name]), name
    assert not any("fake" in type(layer).__name__.lower() for layer in network.modules())
    assert network.eval()(images).shape == (6, 4)


def test_what_was_trained_rounds_and_is_otherwise_the_network(trained):
    network, _, images, answer, exact = trained
    with torch.no_grad():
        expected = network.eval()(images)
    torch.testing.assert_close(exact, expected, rtol=1e-4, atol=1e-5)
    assert (answer - expected).abs().max() > 1e-3 * expected.abs().max()


def test_it_stands_in_the_name_and_takes_nothing():
    assert table.split("a+prune0.5+qat@48")[1][1] == QuantizationAware()
    with pytest.raises(ModelError, match="qat takes nothing behind it, not '8'"):
        table.parse("qat=8")
    with pytest.raises(ModelError, match="cluster and qat do not go together"):
        table.parse("cluster=16+qat")


def test_without_torchao_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelError, match=r"qat needs torchao .* pip install 'edgebench\[optimize\]'"):
        QuantizationAware().apply(small(), SHAPE)
