"""Random weights: reproducible, calibrated, and giving logits that differ."""

import numpy as np
import pytest
import torch
from torch import nn

import models
from models.inputs import natural_image
from models.weights import initialize
from models.zoo import catalog

SIZE = 96  # large enough for every stage, small enough to try many networks


def initialized(name, seed=0):
    network = models.create(name)
    initialize(network, SIZE, seed)
    return network


@pytest.mark.parametrize("name", [variant.name for variant in catalog.VARIANTS if variant.default])
def test_logits_have_a_sensible_spread(name):
    network = initialized(name)
    with torch.no_grad():
        logits = network(torch.from_numpy(natural_image((2, 3, SIZE, SIZE), seed=99)))
    assert torch.isfinite(logits).all()
    assert 0.01 < logits.std() < 100
    assert (logits[0] - logits[1]).abs().max() > 0.01  # it matters what is in the image
    for tensor in network.state_dict().values():
        nonzero = tensor[tensor != 0].abs()
        assert torch.isfinite(nonzero).all()
        assert nonzero.numel() == 0 or nonzero.min() > np.finfo(np.float32).tiny


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = initialized("mobilenet_v3_small_0.5", seed=7).state_dict()
    torch.manual_seed(2)
    second = initialized("mobilenet_v3_small_0.5", seed=7).state_dict()
    other = initialized("mobilenet_v3_small_0.5", seed=8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["classifier.4.weight"], other["classifier.4.weight"])


def test_every_kind_of_layer_is_filled():
    layers = (nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 4, 2, 2, groups=4), nn.PReLU(4), nn.BatchNorm2d(4))
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2))
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        for layer in network:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        initialize(network, 8, seed=7)
        weights.append({key: value.clone() for key, value in network.state_dict().items()})
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert all(parameter.unique().numel() > 1 for parameter in network.parameters())


def test_the_global_generator_is_left_alone():
    network = models.create("squeezenet_1.1"), models.create("mobilenet_v2_0.35")
    before = torch.get_rng_state()
    for module in network:
        initialize(module, SIZE)
    assert torch.equal(before, torch.get_rng_state())


def test_the_module_ends_in_evaluation_mode_as_it_was():
    network = initialized("mobilenet_v2_0.35")
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert not any(layer.training for layer in network.modules())
    assert {norm.momentum for norm in norms} == {0.1}
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_running_statistics_fit_natural_images():
    network = initialized("mobilenet_v2_0.35")
    image = torch.from_numpy(natural_image((8, 3, SIZE, SIZE), seed=50))
    with torch.no_grad():
        linear = network.features[1](network.features[0](image))
    norm = network.features[1].layers[-1][1]
    normalized = (linear - norm.bias.reshape(1, -1, 1, 1)) / norm.weight.reshape(1, -1, 1, 1)
    assert normalized.mean((0, 2, 3)).abs().max() < 0.5
    assert ((normalized.std((0, 2, 3)) > 0.5) & (normalized.std((0, 2, 3)) < 2)).all()


def test_affine_parameters_are_randomized():
    norm = next(layer for layer in initialized("ghostnet_0.5").modules() if isinstance(layer, nn.BatchNorm2d))
    assert 0.01 < norm.weight.std() < 0.3
    assert 0.01 < norm.bias.std() < 0.3
    assert 0.8 < norm.weight.mean() < 1.2


def test_other_inputs_than_rgb_images():
    network = models.create("mobilenet_v1_0.25", in_chans=1, num_classes=5)
    initialize(network, (1, 64, 96))
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 64, 96)).shape == (1, 5)


@pytest.mark.parametrize("name", ["squeezenext_23_1.0", "igcv2_1.0"])
def test_rounding_errors_hardly_grow_in_the_deepest_chains(name):
    network = initialized(name)
    image = torch.from_numpy(natural_image((1, 3, SIZE, SIZE), seed=3))
    with torch.no_grad():
        single = network(image)
        double = network.double()(image.double())
    assert (single - double).abs().max() < 5e-5 * double.abs().max()
