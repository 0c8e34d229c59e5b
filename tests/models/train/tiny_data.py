"""A data set that a tiny network learns in seconds: bright stripes whose direction is the class."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

CLASSES = 4
TINY = "mobilenet_v1_0.1@32"


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return grey images (count, 28, 28) and their labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    row, column = np.mgrid[:28, :28]
    angle = labels[:, None, None] * np.pi / 2 / (CLASSES - 1)  # up to 90 degrees: training mirrors images
    along = row * np.sin(angle) + column * np.cos(angle) + random.uniform(0, 6, (count, 1, 1))
    images = 128 + 90 * np.sin(along) + random.normal(0, 10, along.shape)
    return images.clip(0, 255).astype(np.uint8), labels.astype(np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes())


def make(folder: Path, *, train: int = 160, test: int = 50) -> Path:
    """Write the four files of an MNIST-like data set."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = stripes(count, seed)
        write_idx(folder / f"{split}-images-idx3-ubyte", images)
        write_idx(folder / f"{split}-labels-idx1-ubyte", labels)
    return folder
