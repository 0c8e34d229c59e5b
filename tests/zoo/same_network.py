"""`python -m tests.zoo.same_network`: do two implementations of one network compute the same?

Reads a JSON list of cases on stdin and answers each with a JSON line. The other implementation gets random weights and
statistics, the zoo's network the same ones, layer by layer in the order in which the layers run; both see the same
images, in 64 bits. Equal outputs mean equal strides, padding, activations, shuffles and orders of concatenation; the
convolutions must also run in the same order. What stays out is the eps of normalizations: the other implementation is
given the zoo's.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import defaultdict
from importlib import import_module

import torch
from torch import nn

import models
from models.zoo.layers import follow_tensorflow

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def main():
    torch.set_default_dtype(torch.float64)
    for case in json.load(sys.stdin):
        try:
            answer = {"difference": difference(**case)}
        except Exception:  # noqa: BLE001 - told, and the next case is tried
            answer = {"error": traceback.format_exc(limit=-3)}
        print(json.dumps(answer), flush=True)


def difference(ours, arguments, theirs, their_arguments, sizes, tensorflow):
    """The largest difference between the outputs at any of `sizes`, relative to the largest output."""
    network = models.create(ours, **arguments).eval()
    if tensorflow:
        follow_tensorflow(network)
    module, _, factory = theirs.partition(":")
    other = getattr(import_module(module), factory)(**their_arguments).eval()
    randomize(other)
    if "pytorchcv" in module and ours.startswith("mobilenet_v1"):
        relu6(other)  # the paper's ReLU there
    take(network, other, torch.randn(1, 3, sizes[0], sizes[0]))
    found = []
    for size in sizes:
        image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            mine, expected = network(image), other(image)
        assert expected.std() > 0
        found.append(((mine - expected).abs().max() / expected.abs().max()).item())
    return max(found)


def randomize(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.dim() > 1:
                tensor.normal_(0, (1.6 / tensor[0].numel()) ** 0.5, generator=generator)
            else:
                tensor.uniform_(*((-0.2, 0.2) if name.endswith("bias") else (0.5, 1.0)), generator=generator)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.0, generator=generator)
            elif name.endswith("index"):  # features that CondenseNet gathers, all zeros until it is trained
                buffer.copy_(torch.randint(16, buffer.shape, generator=generator))


def take(network, other, image):
    """Give `network` the weights, statistics and indices of `other`. Raises where layers or their order differ."""
    runs = [executed(side, image) for side in (network, other)]
    assert kernels(runs[0]) == kernels(runs[1])
    mine, theirs = map(by_shape, runs)
    counts = [{shape: len(layers) for shape, layers in side.items()} for side in (mine, theirs)]
    assert counts[0] == counts[1], set(counts[0].items()) ^ set(counts[1].items())
    with torch.no_grad():
        for shape, layers in mine.items():
            for layer, source in zip(layers, theirs[shape], strict=True):
                for target, tensor in zip(tensors(layer), tensors(source), strict=True):
                    target.copy_(tensor.reshape(target.shape))
                if isinstance(layer, NORMS):
                    source.eps = layer.eps


def executed(network, image):
    """The layers that hold tensors of their own in the order of their first runs, those that do not run at the end."""
    found = {}
    holders = [layer for layer in network.modules() if tensors(layer)]
    handles = [layer.register_forward_hook(lambda layer, *_: found.setdefault(layer)) for layer in holders]
    with torch.no_grad():
        network(image)
    for handle in handles:
        handle.remove()
    return list(dict.fromkeys([*found, *holders]))


def kernels(layers):
    return [
        tuple(side for side in layer.weight.shape if side > 1)
        for layer in layers
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]


def by_shape(layers):
    """Parallel branches may run in another order; their layers are told apart by their shapes."""
    groups = defaultdict(list)
    for layer in layers:
        kind = "norm" if isinstance(layer, NORMS) else "other"
        # A 1x1 convolution and a linear layer are the same.
        shapes = (tuple(side for side in tensor.shape if side > 1) for tensor in tensors(layer))
        groups[(kind, *shapes)].append(layer)
    return groups


def tensors(layer):
    """Parameters and buffers, largest first where a network holds several of its own."""
    own = [*layer.parameters(recurse=False), *(b for b in layer.buffers(recurse=False) if b.dim() > 0)]
    return sorted(own, key=torch.numel, reverse=True) if type(layer).__module__.startswith(("models", "timm")) else own


def relu6(network):
    for parent in network.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.ReLU):
                setattr(parent, name, nn.ReLU6())


if __name__ == "__main__":
    main()
