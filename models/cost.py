"""What a network costs on paper: parameters and multiply-adds.

Counted are trainable parameters (not the running statistics of batch normalization) and the multiply-adds of
convolutions and matrix products for one image; bias, normalization, activation and pooling count as free.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def parameters(module: "nn.Module") -> int:
    """Number of scalars in `module.parameters()`."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: "nn.Module", input_size: int | Sequence[int]) -> int:
    """Multiply-adds of one image of `input_size`: (channels, height, width), or one number for a square RGB image.

    A module on the "meta" device is counted without computing anything.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next(module.parameters()).device
    image = torch.zeros((1, *image_shape(input_size)), device=device)
    training, fused = module.training, torch.backends.mha.get_fastpath_enabled()
    module.eval()
    try:
        # The counter does not know fused attention; taken apart into plain products, all of them are counted.
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(image)
    finally:
        module.train(training)
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


def image_shape(input_size: int | Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of one image; a single number is the side of a square RGB image."""
    if isinstance(input_size, int):
        return (3, input_size, input_size)
    if len(input_size) != 3:
        raise ValueError(f"an input size is (channels, height, width) or one number, not {tuple(input_size)}")
    channels, height, width = input_size
    return (channels, height, width)
