"""Small networks for the tests of transformations."""

import copy
from functools import cache

import torch

import models
from models import weights

SIDE = 64


def build(name):
    """A network of the zoo for ten classes that behaves like a trained one."""
    return copy.deepcopy(_built(name))


@cache
def _built(name):
    network = models.create(name, num_classes=10)
    weights.initialize(network, SIDE)
    return network


def images(count=2):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def answer(network):
    with torch.no_grad():
        return network.eval()(images())
