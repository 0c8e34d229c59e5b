"""How wide the layers of a network are, and layers of another width in their place."""

from __future__ import annotations

from torch import Tensor, nn

from models.errors import ModelError
from models.optimize.base import Layers

# What says how wide a layer is; of each the numbers are also the sizes of its tensors.
_WIDTHS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("out_channels", "in_channels", "groups"),
    nn.Linear: ("out_features", "in_features"),
    nn.BatchNorm2d: ("num_features",),
    nn.PReLU: ("num_parameters",),
}


def of(network: nn.Module) -> Layers:
    """The widths of every layer that has some, by its name."""
    return {
        name: {attribute: int(getattr(layer, attribute)) for attribute in _attributes(layer)}
        for name, layer in network.named_modules()
        if _attributes(layer)
    }


def set_all(network: nn.Module, layers: Layers) -> None:
    """Give layers the widths of a record, at most their own, and tensors of these sizes, of any content.

    Raises ModelError where the record is not one of this network.
    """
    before = of(network)
    for name, wanted in layers.items():
        widths = before.get(name, {})
        if not wanted or wanted.keys() != widths.keys() or not all(0 < wanted[key] <= widths[key] for key in wanted):
            raise ModelError(f"the network has no layer {name!r} of {wanted}: the record is that of another one")
        if "groups" in wanted and (
            wanted["in_channels"] % wanted["groups"] or wanted["out_channels"] % wanted["groups"]
        ):
            raise ModelError(f"{name}: {wanted} is no convolution")
        _resize(network.get_submodule(name), wanted)


def _attributes(layer: nn.Module) -> tuple[str, ...]:
    return next((names for kind, names in _WIDTHS.items() if isinstance(layer, kind)), ())


def _resize(layer: nn.Module, widths: dict[str, int]) -> None:
    for attribute, width in widths.items():
        setattr(layer, attribute, width)
    first = next(iter(widths.values()))
    for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
        if tensor.ndim == 0:  # a counter
            continue
        size = [first, *tensor.shape[1:]]
        if len(size) > 1:
            size[1] = list(widths.values())[1] // widths.get("groups", 1)
        new: Tensor = tensor.new_zeros(size)
        setattr(layer, name, nn.Parameter(new) if isinstance(tensor, nn.Parameter) else new)
