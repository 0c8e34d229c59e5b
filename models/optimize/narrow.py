"""Removing channels from a network, or from the largest parts of it whose channels can be followed.

Following goes by what autograd saw, and can fail, or go wrong without a word where channels are reordered. So every
part is proved: without the channels it must compute what it computes where they are zero.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.cost import multiply_adds
from models.errors import ModelError
from models.optimize.base import Shape

# Vector units of 8 (and 16) numbers take the time of a full vector for a part of one.
DIVISOR = 8
_STEP = 0.04
_TOLERANCE = 1e-4
_ROOTS = (nn.Conv2d, nn.Linear)


class Untraceable(Exception):
    """The channels of a part cannot be followed."""


def narrow(network: nn.Module, shape: Shape, removed: float) -> None:
    """Remove channels until `removed` of the multiply-adds are gone. Raises ModelError where that cannot be."""
    target = (1 - removed) * multiply_adds(network, shape)
    inputs = _inputs(network, shape)
    names = list(_followed(network, "", inputs))
    if not names:
        raise ModelError("prune: no part of this network has channels that can be followed and removed")
    silent = copy.deepcopy(network)
    parts = {name: _Part(network.get_submodule(name), inputs[name]) for name in names}
    share = 0.0
    while multiply_adds(network, shape) > target:
        share += _STEP
        if share >= 1:
            least = 1 - multiply_adds(network, shape) / multiply_adds(silent, shape)
            raise ModelError(
                f"prune={removed:g}: the channels of this network that can be removed are {least:.0%} of its "
                "multiply-adds; ask for less"
            )
        for name, part in parts.items():
            try:
                part.remove(share)
            except Untraceable as error:
                raise ModelError(
                    f"prune: the channels of {name or 'this network'} cannot be followed: {error}"
                ) from error
    for name, part in parts.items():
        part.silence(silent.get_submodule(name))
    if not _same(network, silent, inputs[""]):
        raise ModelError("prune: without the channels this network does not compute what it does where they are zero")


def _followed(module: nn.Module, name: str, inputs: dict[str, Tensor]) -> Iterator[str]:
    """The names of the largest parts whose channels can be followed, found by trying on copies."""
    if name not in inputs or sum(isinstance(layer, _ROOTS) for layer in module.modules()) < 2:
        return
    tried, silent = copy.deepcopy(module), copy.deepcopy(module)
    try:
        part = _Part(tried, inputs[name])
        part.remove(0.5)
        part.silence(silent)
        if part.removed and _same(tried, silent, inputs[name]):
            yield name
            return
    except Untraceable:
        pass
    for child, below in module.named_children():
        yield from _followed(below, f"{name}.{child}" if name else child, inputs)


class _Part:
    """A part of a network whose channels are removed step by step."""

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        tp = _torch_pruning()
        self._module = module
        self._importance = tp.importance.GroupMagnitudeImportance(p=2)
        self._last = [layer for layer in module.modules() if isinstance(layer, _ROOTS)][-1:]
        try:
            with warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")
                self._graph: Any = tp.DependencyGraph().build_dependency(module, example_inputs=example)
        except Exception as error:  # it raises anything
            raise Untraceable(str(error)) from error
        self._names = {layer: name for name, layer in module.named_modules()}
        self._widths: dict[nn.Module, int] = {
            layer: layer.weight.shape[0] for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
        }
        self._left: dict[str, list[int]] = {}
        self.removed: dict[str, list[int]] = {}

    def remove(self, share: float) -> None:
        """Remove of every width the least important channels, until `share` of the original ones are gone."""
        try:
            with torch.no_grad():
                for group in self._graph.get_all_groups(self._last, list(_ROOTS)):
                    self._remove(group, share)
        except Exception as error:  # it raises anything
            raise Untraceable(str(error)) from error

    def _remove(self, group: Any, share: float) -> None:
        root = group[0].dep.target.module
        width = len(root.weight)
        keep = max(DIVISOR, round((1 - share) * self._widths[root] / DIVISOR) * DIVISOR)
        scores = self._importance(group)
        if keep >= width or scores is None or len(scores) != width or _is_grouped(group):
            return
        least = scores.argsort()[: width - keep].sort().values.tolist()
        chosen = self._graph.get_pruning_group(root, group[0].dep.handler, least)
        if not self._graph.check_pruning_group(chosen):
            return
        for dependency, places in chosen:
            if self._graph.is_out_channel_pruning_fn(dependency.handler):
                self._note(dependency.target.module, places)
        chosen.prune()

    def _note(self, layer: nn.Module, places: list[int]) -> None:
        name = self._names.get(layer)
        weight = getattr(layer, "weight", None)
        if name is None or not isinstance(weight, Tensor):
            return
        left = self._left.setdefault(name, list(range(weight.shape[0])))
        gone = set(places)
        self.removed.setdefault(name, []).extend(left[place] for place in sorted(gone))
        self._left[name] = [channel for place, channel in enumerate(left) if place not in gone]

    def silence(self, module: nn.Module) -> None:
        """Make zero in a copy of the part, as it was, the channels that were removed."""
        with torch.no_grad():
            for name, channels in self.removed.items():
                for tensor in module.get_submodule(name).parameters(recurse=False):
                    tensor[channels] = 0


def _is_grouped(group: Any) -> bool:
    """Whether a convolution of some groups, but not depthwise, takes part: each group would have to keep as many."""
    layers = (dependency.target.module for dependency, _ in group)
    return any(isinstance(layer, nn.Conv2d) and 1 < layer.groups < layer.out_channels for layer in layers)


def _inputs(network: nn.Module, shape: Shape) -> dict[str, Tensor]:
    """An input of every module that takes one tensor, by its name, for noise as the image."""
    inputs: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            if len(given) == 1 and isinstance(given[0], Tensor):
                inputs[name] = given[0].detach()

        return hook

    handles = [module.register_forward_pre_hook(note(name)) for name, module in network.named_modules()]
    with torch.no_grad():
        network.eval()(torch.randn((1, *shape), generator=torch.Generator().manual_seed(0)))
    for handle in handles:
        handle.remove()
    return inputs


def _same(module: nn.Module, other: nn.Module, example: Tensor) -> bool:
    with torch.no_grad():
        try:
            found, expected = module.eval()(example), other.eval()(example)
        except RuntimeError:  # shapes that do not fit
            return False
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise ModelError(f"prune needs torch-pruning ({error}): pip install 'edgebench[optimize]'") from error
    return torch_pruning
