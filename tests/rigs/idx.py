"""Data sets of the MNIST family, small and made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_idx(folder: Path, split: str, count: int) -> None:
    """A small data set of the MNIST family."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, 28, 28), np.uint8)
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (folder / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    labels = (np.arange(count) % 10).astype(np.uint8)
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes())
