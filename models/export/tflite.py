"""PyTorch to TFLite with litert-torch: NHWC input, static batch of 1."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch


def export(module: torch.nn.Module, shape: tuple[int, ...], target: Path) -> None:
    """Write `module`, made for NCHW inputs of `shape`, to `target` with an NHWC input."""
    batch, channels, height, width = shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litert_torch

        wrapped = litert_torch.to_channel_last_io(module, args=[0]).eval()
        edge = litert_torch.convert(wrapped, (torch.zeros(batch, height, width, channels),))
        edge.export(str(target))
