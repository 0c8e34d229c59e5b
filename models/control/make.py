"""Makes the files of the control series beside it; run once: `python -m models.control.make`. Needs the exporters.

Made again with other versions they are other bytes, hence another series: the hashes in `models.control` say which.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.control import INPUT_SEED, RESOLUTION, WEIGHTS_SEED, path
from models.export import onnx, tflite
from models.export.network import one_thread
from models.export.parity import OnnxRunner, TfliteRunner, check
from models.inputs import natural_image


class Control(nn.Sequential):
    """What the zoo spends its time on: dense, depthwise and pointwise convolutions, pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__(
            *_convolution(3, 16, stride=2),
            *_convolution(16, 16, groups=16),
            *_convolution(16, 48, kernel=1),
            *_convolution(48, 48, stride=2, groups=48),
            *_convolution(48, 48),
            *_convolution(48, 48),
            *_convolution(48, 96, kernel=1),
            *_convolution(96, 96, stride=2, groups=96),
            *_convolution(96, 128, kernel=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def _convolution(ins: int, outs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups), nn.ReLU()]


def main() -> None:
    """Write the network in both formats, each checked against PyTorch, and the input with the output that is right."""
    shape = (1, 3, RESOLUTION, RESOLUTION)
    torch.manual_seed(WEIGHTS_SEED)
    network = Control().eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    image = natural_image(shape, INPUT_SEED)
    with torch.no_grad(), one_thread():
        answer = network(torch.from_numpy(image)).numpy()
    onnx.export(network, shape, path("onnx"))
    tflite.export(network, shape, path("tflite"))
    check(OnnxRunner(path("onnx"))([image])[0], answer)
    check(TfliteRunner(path("tflite"))([tflite.channels_last(image)])[0], answer)
    with path("npz").open("wb") as stream:
        np.savez(stream, allow_pickle=False, in0=image, out0=answer)


if __name__ == "__main__":
    main()
