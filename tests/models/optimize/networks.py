"""Small networks for the tests of transformations."""

import torch

import models
from models import weights

SIDE = 64


def build(name, classes=10):
    """A network of the zoo that behaves like a trained one."""
    network = models.create(name, num_classes=classes)
    weights.initialize(network, SIDE)
    return network


def images(count=2):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def answer(network):
    with torch.no_grad():
        return network.eval()(images())
