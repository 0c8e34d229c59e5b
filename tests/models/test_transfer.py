"""Weights that change networks: paired by the order of the layers, strict, proved by equal outputs."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from models import partners
from models.errors import ModelError, NoSuchWeights
from models.sources.selection import resolve
from models.transfer import transfer
from models.zoo import catalog

SHAPE = (3, 16, 16)


def network(prefix, *, eps=1e-5, cut=nn.ReLU6, padding=1, classes=5, linear=True, width=8):
    torch.manual_seed(len(prefix))
    last = nn.Sequential(nn.Flatten(), nn.Linear(width, classes))
    if not linear:
        last = nn.Sequential(nn.Conv2d(width, classes, 1), nn.Flatten())
    layers = [
        nn.ZeroPad2d((0, 1, 0, 1) if padding == 0 else 0),
        nn.Conv2d(3, width, 3, stride=2, padding=padding, bias=False),
        nn.BatchNorm2d(width, eps=eps),
        cut(),
        nn.AdaptiveAvgPool2d(1),
        last,
    ]
    made = nn.Sequential(OrderedDict((f"{prefix}{number}", layer) for number, layer in enumerate(layers)))
    norm = layers[2]
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.uniform_(norm.running_var, 1e-3, 1)
    nn.init.uniform_(norm.weight, 1, 3)
    return made


def test_another_network_takes_every_tensor_and_the_eps():
    theirs, ours = network("theirs", eps=1e-3), network("x", linear=False)
    assert transfer(theirs, ours, SHAPE) < 1e-6
    assert ours.x2.eps == 1e-3
    assert torch.equal(ours.x5[0].weight[:, :, 0, 0], theirs.theirs5[1].weight)
    assert not ours.training


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"cut": nn.ReLU}, "the outputs differ by"),
        ({"padding": 0}, "the outputs differ by"),
        ({"cut": nn.PReLU}, r"theirs5.1 has weight \(5, 8\).* for x3, which has weight \(1,\)"),
        ({"width": 9}, r"theirs1 has weight \(8, 3, 3, 3\) for x1, which has weight \(9, 3, 3, 3\)"),
        ({"classes": 6}, r"theirs5.1 has .* for x5.1, which has weight \(6, 8\), bias \(6,\)"),
    ],
)
def test_what_does_not_compute_the_same_is_told(other, words):
    with pytest.raises(ModelError, match=words):
        transfer(network("theirs"), network("x", **other), SHAPE)


def test_no_layer_is_left_over():
    theirs, ours = network("theirs"), network("x")
    with pytest.raises(ModelError, match="3 layers with weights, and the network has 4"):
        transfer(theirs, nn.Sequential(ours, nn.Linear(5, 5)), SHAPE)
    theirs.theirs3.idle = nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"theirs3\.idle: has weights and does not run"):
        transfer(theirs, ours, SHAPE)


def test_what_is_no_number_proves_nothing():
    theirs = network("theirs")
    nn.init.constant_(theirs.theirs5[1].bias, float("nan"))
    with pytest.raises(ModelError, match="differ by nan"):
        transfer(theirs, network("x"), SHAPE)


def test_every_partner_is_of_the_catalog_and_goes_with_every_resolution():
    assert set(partners.names()) <= set(catalog.names())
    (sized,) = resolve(["mobilenet_v2_1.0@160"], weights="pretrained")
    assert (sized.name, sized.partner.name) == ("mobilenet_v2_1.0@160", "torchvision:mobilenet_v2@160")
    with pytest.raises(NoSuchWeights, match=r"exists in the zoo for mobilenet_v1_1\.0, "):
        partners.partner(catalog.get("fbnet_c"))


def test_a_library_that_is_missing_is_told_with_what_to_install(store, monkeypatch):
    from models.export import recipe
    from models.prepare import look_up

    monkeypatch.setattr(recipe, "library_versions", lambda name: None)
    with pytest.raises(ModelError, match=r"mobilenet_v2_1\.0: .* pip install torchvision"):
        look_up(resolve(["mobilenet_v2_1.0"], weights="pretrained"), store)
