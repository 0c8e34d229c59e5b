"""Random weights that let an untrained network behave, numerically, like a trained one.

Latency can depend on values (denormal numbers are slow), and so can the error of quantization: a network whose
activations explode, vanish or are all alike measures neither well.
"""

from collections.abc import Sequence

import torch
from torch import nn

from models.cost import image_shape
from models.inputs import natural_image

CALIBRATION_BATCHES = 2
CALIBRATION_IMAGES = 4
# A channel that happens to be constant would otherwise multiply rounding noise by 1 / sqrt(eps).
LEAST_VARIANCE = 1e-3
# With biases around 0, each normalization and ReLU of a random network multiplies a relative error by about 1.2, which
# leaves a hundred layers on end no correct digit in half precision; around 0.5 it is about 1.1.
NORM_BIAS = 0.5

_Norm = (nn.BatchNorm1d, nn.BatchNorm2d)


def initialize(module: nn.Module, input_size: int | Sequence[int], seed: int = 0) -> None:
    """Fill `module` with random weights and calibrated running statistics, and leave it in evaluation mode.

    The same seed gives the same weights, whatever the state of the global generators, which are left alone.
    `input_size` is (channels, height, width) of one image, or one number for a square RGB image.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            _fill(layer, generator)
        _calibrate(module, image_shape(input_size), seed)
    module.eval()


def _fill(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        # Convolutions mostly feed a ReLU, which halves the second moment; the last linear layer does not.
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear", generator=generator)
        if layer.bias is not None:
            nn.init.normal_(layer.bias, 0.0, 0.05, generator=generator)
    elif isinstance(layer, nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, (layer.in_channels // layer.groups) ** -0.5, generator=generator)
        if layer.bias is not None:
            nn.init.normal_(layer.bias, 0.0, 0.05, generator=generator)
    elif isinstance(layer, nn.PReLU):
        nn.init.normal_(layer.weight, 0.25, 0.05, generator=generator)
    elif isinstance(layer, _Norm) and layer.affine:
        nn.init.normal_(layer.weight, 1.0, 0.1, generator=generator)
        nn.init.normal_(layer.bias, NORM_BIAS, 0.1, generator=generator)
    elif isinstance(layer, nn.LayerNorm) and layer.elementwise_affine:
        nn.init.normal_(layer.weight, 1.0, 0.1, generator=generator)
        nn.init.normal_(layer.bias, 0.0, 0.1, generator=generator)
    elif not type(layer).__module__.startswith("torch."):
        # Parameters of a network's own, such as embeddings of position.
        for parameter in layer.parameters(recurse=False):
            nn.init.normal_(parameter, 0.0, 0.1, generator=generator)


def _calibrate(module: nn.Module, shape: tuple[int, int, int], seed: int) -> None:
    """Set the running statistics of every batch normalization to the average over a few natural images."""
    norms = [layer for layer in module.modules() if isinstance(layer, _Norm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    module.eval()  # dropout draws from the global generator: off
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the plain average of all batches
    for batch in range(CALIBRATION_BATCHES):
        images = natural_image((CALIBRATION_IMAGES, *shape), seed=seed + batch)
        module(torch.from_numpy(images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        if norm.running_var is not None:
            norm.running_var.clamp_(min=LEAST_VARIANCE)
