"""Weights of one network brought into another that computes the very same under other names.

Layers are paired in the order in which they first run, their tensors by name, or by order where the names differ. That
the pairs were the right ones is then proved: both networks must give equal outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.inputs import natural_image

TOLERANCE = 1e-5  # of the greatest output: two orders of summation differ by about 1e-6, two architectures by 1e-1
_LOUD = 4.0  # a second image that drives activations to where ReLU and ReLU6, or two kinds of padding, part


def transfer(theirs: nn.Module, ours: nn.Module, shape: Sequence[int]) -> float:
    """Fill `ours` with all tensors of `theirs`; return the largest difference of outputs over their largest.

    Both are left in evaluation mode. `shape` is (channels, height, width) of one image. The eps of normalizations
    comes along with their statistics. Raises ModelError, saying what differs, where a tensor is left over on either
    side, two have different shapes, or the outputs differ.
    """
    images = _images(shape)
    with torch.no_grad():
        (their_layers, expected), (our_layers, _) = _in_order(theirs.eval(), images), _in_order(ours.eval(), images)
        for (our_name, our_layer), (their_name, their_layer) in zip(our_layers, their_layers, strict=False):
            _fill(our_name, our_layer, their_name, their_layer)
        if len(our_layers) != len(their_layers):
            raise ModelError(f"{len(their_layers)} layers with weights, and the network has {len(our_layers)}")
        found = ours(images)
    if found.shape != expected.shape:
        raise ModelError(f"answers {tuple(expected.shape[1:])}, and the network {tuple(found.shape[1:])}")
    largest, difference = float(expected.abs().max()), float((found - expected).abs().max())
    # Not the other way around: NaN fulfills no comparison
    if not difference <= TOLERANCE * largest:
        raise ModelError(f"the outputs differ by {difference:.3g}, and the largest is {largest:.3g}")
    return difference / largest if largest else 0.0


def _images(shape: Sequence[int]) -> Tensor:
    image = torch.from_numpy(natural_image((1, *shape), seed=0))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat((image, _LOUD * noise))


def _in_order(network: nn.Module, images: Tensor) -> tuple[list[tuple[str, nn.Module]], Tensor]:
    """The layers that have tensors of their own, as they first run, and the output. Raises ModelError for one that
    does not run.
    """
    ran: dict[str, nn.Module] = {}
    layers = {name: layer for name, layer in network.named_modules() if _tensors(layer)}

    def note(name: str, layer: nn.Module) -> None:
        ran.setdefault(name, layer)

    hooks = [
        layer.register_forward_pre_hook(lambda layer, _, name=name: note(name, layer)) for name, layer in layers.items()
    ]
    try:
        output = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    idle = [name for name in layers if name not in ran]
    if idle:
        raise ModelError(f"{', '.join(idle[:4])}: has weights and does not run")
    return list(ran.items()), output


def _tensors(layer: nn.Module) -> dict[str, Tensor]:
    """What a state holds of the layer itself."""
    state = layer.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in state.items() if "." not in name}


def _fill(our_name: str, ours: nn.Module, their_name: str, theirs: nn.Module) -> None:
    target, source = _tensors(ours), _tensors(theirs)
    pairs = (
        [(name, source[name]) for name in target]
        if target.keys() == source.keys()
        else list(zip(target, source.values(), strict=False))
    )
    if len(target) != len(source) or any(_shape(target[name]) != _shape(tensor) for name, tensor in pairs):
        raise ModelError(
            f"{their_name or 'the network'} has {_words(source)} for {our_name or 'the variant'}, "
            f"which has {_words(target)}"
        )
    for name, tensor in pairs:
        target[name].copy_(tensor.reshape(target[name].shape))
    if hasattr(ours, "eps") and hasattr(theirs, "eps"):
        ours.eps = theirs.eps


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """A linear layer's is that of a 1x1 convolution, which may stand for it."""
    sizes = tuple(tensor.shape)
    return sizes[:-2] if len(sizes) == 4 and sizes[-2:] == (1, 1) else sizes


def _words(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()) or "no tensors"
