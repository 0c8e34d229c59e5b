"""A network in which weights and activations are rounded to 8 bits, by torchao."""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.inputs import natural_image
from models.optimize.base import Shape

_LARGEST_BATCH = 65_536


class Rounding(nn.Module):
    """A graph of a network that rounds as the int8 files will, for batches of 2 or more images of one shape.

    Activations are unsigned with one range a tensor, weights signed with one a channel: the grid of torchao's quantizer
    for x86, which is that of ONNX Runtime's and TFLite's files, too. `learned` has the network's own tensors.
    """

    def __init__(self, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self._names = list(network.state_dict())
        self._pt2e, quantizer = torchao()
        batch = torch.export.Dim("batch", min=2, max=_LARGEST_BATCH)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                network.train(), (torch.zeros((4, *shape)),), dynamic_shapes=({0: batch},), strict=True
            )
            self.graph: nn.Module = self._pt2e.quantize_pt2e.prepare_qat_pt2e(program.module(), quantizer)
        self._begin_ranges(torch.from_numpy(natural_image((4, *shape), seed=0)))

    def _begin_ranges(self, images: Tensor) -> None:
        """They get their shapes from the first images; an average, or a training gone on with, expects them before."""
        before = {name: tensor.clone() for name, tensor in self.learned().items()}
        with torch.no_grad():
            self.graph(images)
        self.graph.load_state_dict(before, strict=False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.graph(images)
        return logits

    def train(self, mode: bool = True) -> Self:
        """A graph holds normalization and dropout of one mode, and is rewritten for the other."""
        if mode != self.training:
            move = self._pt2e.move_exported_model_to_train if mode else self._pt2e.move_exported_model_to_eval
            move(self.graph)
            self.training = mode
        return self

    def learned(self) -> dict[str, Tensor]:
        """The tensors of the network, by their names in it."""
        state = self.graph.state_dict()
        return {name: state[name] for name in self._names}


def torchao() -> tuple[Any, Any]:
    """torchao's quantization of exported graphs, and its quantizer. Raises ModelError where it is not installed."""
    try:
        from torchao.quantization import pt2e
        from torchao.quantization.pt2e import quantize_pt2e  # noqa: F401 - an attribute of `pt2e` from here on
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    except ImportError as error:
        raise ModelError(f"qat needs torchao ({error}): pip install 'edgebench[optimize]'") from error
    config = x86.get_default_x86_inductor_quantization_config(is_qat=True)
    return pt2e, x86.X86InductorQuantizer().set_global(config)
