"""The control: one small network that never changes and is measured in every run, under every runtime.

When its latency moves from one run to another, it was the device or its runtime, not a model. Its files were made once
by `models.control.make` and are shipped; with other files it is another series.
"""

from __future__ import annotations

from pathlib import Path

NAME = "bench:control"
"""Of the model in every row; no file of a user's is called so by chance."""

RESOLUTION, WEIGHTS_SEED, INPUT_SEED = 128, 20, 20
PARAMETERS, MULTIPLY_ADDS = 62_842, 56_501_504
SHA256 = {
    "onnx": "5e3b0f1ee6159cd47f36c74b4bd873e262596a00d8230ac99279f7f2824c10b0",
    "tflite": "7914c0562a8593506dc5534dbe153c40bc4ed4cc9a60e8dd473ada60b96540ce",
    "npz": "6f4f5ca476a7b925ede98136ee5d7a902e3a54602dcc8325b1d8cf135d2ef1a1",
}
"""The shipped files by their endings: the network in two formats, and input (NCHW) and output as `in0`, `out0`."""


def path(ending: str) -> Path:
    """Where a shipped file lies."""
    return Path(__file__).parent / f"control.{ending}"
