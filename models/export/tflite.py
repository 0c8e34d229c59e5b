"""PyTorch to TFLite with litert-torch: NHWC, static batch of 1."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


def channels_last(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """`array` as the file takes and gives it: NHWC for images and maps in NCHW, anything else as it is."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def export(module: torch.nn.Module, shape: tuple[int, ...], target: Path, *, answers_maps: bool = False) -> None:
    """Write `module`, made for NCHW inputs of `shape`, to `target` with an NHWC input, and an output if it is maps."""
    batch, channels, height, width = shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litert_torch

        wrapped = litert_torch.to_channel_last_io(module, args=[0], outputs=[0] if answers_maps else None).eval()
        edge = litert_torch.convert(wrapped, (torch.zeros(batch, height, width, channels),))
        edge.export(str(target))
