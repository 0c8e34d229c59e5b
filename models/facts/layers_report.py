"""What a network does, layer by layer: shapes, parameters, multiply-adds, memory access and live activations.

The network runs once, on the "meta" device, which computes shapes only. Listed are its modules without submodules, in
the order in which they run, and the matrix products that a module computes itself, such as those of attention. What
has neither parameters nor multiply-adds of its own and is no module (addition, concatenation, shuffle) is not listed,
but its tensors count as activations.

Memory access cost: elements read and written by a convolution or product, as in Ma et al. 2018 (ShuffleNet V2),
arXiv:1807.11164: for a 1x1 convolution, hw(c1 + c2) + c1 c2 (G1) and hw(c1 + c2) + c1 c2 / g with g groups (equation
2). In general: its inputs, its output and its weights, each once. Other layers count as free, as in multiply-adds.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from models.cost import image_shape, parameters
from models.facts.activations import Operation, Peak, elements_of, key_of, peak, peak_of

POINTWISE = "1x1 convolution"
DEPTHWISE = "depthwise convolution"
CONVOLUTION = "other convolution"
LINEAR = "linear"
PRODUCT = "matrix product"
OTHER = "other"
# Kinds of layers, as Howard et al. 2017, arXiv:1704.04861, Table 2 divides them, and those of later networks.
KINDS = (POINTWISE, DEPTHWISE, CONVOLUTION, LINEAR, PRODUCT, OTHER)

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_NOTHING = (nn.Sequential, nn.Identity, nn.Dropout)  # without submodules, in inference
_FIRST_OUTPUT_ONLY = ("batch_norm", "layer_norm", "group_norm", "max_pool")
_ELEMENTWISE = frozenset(
    (
        *("add", "add_", "sub", "mul", "mul_", "div", "maximum", "minimum", "clamp", "clamp_min", "relu", "relu_"),
        *("hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "leaky_relu", "_prelu_kernel", "tanh"),
        *("_native_batch_norm_legit_no_training", "_native_batch_norm_legit", "native_batch_norm"),
        *("cudnn_batch_norm", "native_layer_norm", "_softmax"),
    )
)


@dataclass(frozen=True)
class Layer:
    """One row of the table. Shapes are those of one image, without the batch axis."""

    operator: str
    name: str
    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    groups: int | None
    parameters: int
    multiply_adds: int
    memory_access: int


@dataclass(frozen=True)
class Share:
    """The part that layers of one kind have in all parameters and multiply-adds, from 0 to 1."""

    kind: str
    parameters: float
    multiply_adds: float


@dataclass(frozen=True)
class Report:
    """The table and its sums. `unused_parameters` belong to modules that the network has but does not run.

    `between_blocks` is the largest single tensor that passes from one block to the next, the definition of Sandler et
    al. 2018, arXiv:1801.04381, Table 3: what lies within a block, or between the first layer and the block after it,
    can be computed piece by piece.
    """

    layers: tuple[Layer, ...]
    parameters: int
    unused_parameters: int
    multiply_adds: int
    memory_access: int
    shares: tuple[Share, ...]
    peak: Peak
    between_blocks: Peak


def report(network: nn.Module, input_size: int | Sequence[int]) -> Report:
    """Describe `network` for one image of `input_size`; it is left as it was, and its weights do not matter."""
    network = copy.deepcopy(network).to("meta").eval()
    image = torch.zeros((1, *image_shape(input_size)), device="meta")
    recorder = _Recorder(network)
    with torch.no_grad(), recorder.watching(), recorder:
        output = network(image)
    layers = tuple(recorder.layers())
    used = sum(layer.parameters for layer in layers)
    total = parameters(network)
    return Report(
        layers=layers,
        parameters=total,
        unused_parameters=total - used,
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        memory_access=sum(layer.memory_access for layer in layers),
        shares=tuple(_share(kind, layers) for kind in KINDS),
        peak=peak(recorder.operations, image, output),
        between_blocks=recorder.between_blocks(),
    )


@dataclass
class _Call:
    """One run of a module, or one matrix product outside of any leaf module."""

    name: str
    module: nn.Module | None
    operator: str
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()
    parameters: int = 0
    multiply_adds: int = 0
    memory_access: int = 0


class _Recorder(TorchDispatchMode):
    """Sees every operator and every module while the network runs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.network = network
        self.calls: list[_Call] = []
        self.operations: list[Operation] = []
        self.blocks: list[tuple[str, Tensor]] = []
        self._stack: list[_Call] = []
        self._seen: set[nn.Parameter] = set()
        self._alive: list[Tensor] = []  # so that no two storages get the same key
        self._weights = {key_of(tensor) for tensor in (*network.parameters(), *network.buffers())}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        name = packet.__name__
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if any(part in name for part in _FIRST_OUTPUT_ONLY):
            made = made[:1]
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self._alive += made
        if packet in flop_registry:
            self._count(packet, args, kwargs or {}, out, given, made)
        self._note(name, given, made)
        return out

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks on all modules."""
        features = getattr(self.network, "features", None)
        tops = set((features if isinstance(features, nn.Sequential) else self.network).children())
        hooks = []
        for name, module in self.network.named_modules():
            hooks.append(module.register_forward_pre_hook(self._enter(name)))
            hooks.append(module.register_forward_hook(self._leave))
            if module in tops:
                hooks.append(module.register_forward_hook(self._block(name)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def layers(self) -> Iterator[Layer]:
        """The rows, in the order in which the layers began."""
        for call in self.calls:
            module = call.module
            conv = module if isinstance(module, _CONVOLUTIONS) else None
            yield Layer(
                operator=call.operator,
                name=call.name,
                kind=_kind(call),
                input=call.input,
                output=call.output,
                kernel=tuple(_pair(module, "kernel_size")) or None,
                stride=tuple(_pair(module, "stride")) or None,
                groups=conv.groups if conv is not None else None,
                parameters=call.parameters,
                multiply_adds=call.multiply_adds,
                memory_access=call.memory_access,
            )

    def between_blocks(self) -> Peak:
        """The largest output of a block but the first; the pooled features and the logits are blocks as well."""
        later = self.blocks[1:] or self.blocks
        name, tensor = max(later, key=lambda block: block[1].numel(), default=("", torch.empty(0)))
        return peak_of(name, tensor.numel())

    def _enter(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            call = _Call(name, module, type(module).__name__)
            call.input = _shape(inputs)
            call.parameters = self._own(module)
            leaf = not any(True for _ in module.children()) and not isinstance(module, _NOTHING)
            if leaf or call.parameters:
                self.calls.append(call)
            self._stack.append(call)

        return hook

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._stack.pop().output = _shape(output)

    def _block(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                self.blocks.append((name, output))

        return hook

    def _own(self, module: nn.Module) -> int:
        """Parameters of the module itself, those it shares with one that ran before left out."""
        new = [parameter for parameter in module.parameters(recurse=False) if parameter not in self._seen]
        self._seen.update(new)
        return sum(parameter.numel() for parameter in new)

    def _count(
        self, packet: Any, args: Any, kwargs: dict[str, Any], out: Any, given: list[Tensor], made: list[Tensor]
    ) -> None:
        module = self._stack[-1].module if self._stack else None
        if module is not None and any(True for _ in module.children()):
            # A module computes a product itself.
            call = _Call(self._stack[-1].name, None, packet.__name__)
            call.input, call.output = tuple(given[0].shape[1:]), tuple(made[0].shape[1:])
            self.calls.append(call)
        else:
            call = self._stack[-1]
        call.multiply_adds += int(flop_registry[packet](*args, **kwargs, out_val=out)) // 2
        # Biases are left out, as in multiply-adds.
        operands = [tensor for tensor in given if not (key_of(tensor) in self._weights and tensor.dim() == 1)]
        call.memory_access += sum(tensor.numel() for tensor in (*operands, *made))

    def _note(self, name: str, given: list[Tensor], made: list[Tensor]) -> None:
        reads = {key_of(tensor): elements_of(tensor) for tensor in given if key_of(tensor) not in self._weights}
        makes = {key_of(tensor): elements_of(tensor) for tensor in made}
        makes = {key: size for key, size in makes.items() if key not in reads and key not in self._weights}
        if not reads and not makes:
            return
        module = self._stack[-1].name if self._stack else ""
        if makes or name.endswith("_"):
            self.operations.append(Operation(module, name in _ELEMENTWISE, reads, makes))


def _kind(call: _Call) -> str:
    module = call.module
    if isinstance(module, _CONVOLUTIONS):
        if set(_pair(module, "kernel_size")) == {1}:
            return POINTWISE
        return DEPTHWISE if module.groups == module.in_channels > 1 else CONVOLUTION
    if isinstance(module, nn.Linear):
        return LINEAR
    return PRODUCT if module is None else OTHER


def _share(kind: str, layers: Sequence[Layer]) -> Share:
    def part(values: list[tuple[str, int]]) -> float:
        return sum(value for of, value in values if of == kind) / max(1, sum(value for _, value in values))

    return Share(
        kind,
        part([(layer.kind, layer.parameters) for layer in layers]),
        part([(layer.kind, layer.multiply_adds) for layer in layers]),
    )


def _pair(module: nn.Module | None, name: str) -> Sequence[int]:
    value = getattr(module, name, ())
    return (value, value) if isinstance(value, int) else tuple(value)


def _shape(value: Any) -> tuple[int, ...]:
    first = next((leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)), None)
    return tuple(first.shape[1:]) if first is not None else ()
