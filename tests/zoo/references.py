"""Networks of other packages that segment, put together so that they answer what the zoo's answer.

transformers has the release's MobileNetV2 with its head, at the maps' size and with a layer that the head does not use;
timm has the release's Xception-65, without a head. What is added here is written with plain functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DEPTH = 256


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


class MobileNetV2(nn.Module):
    """transformers' network, with TensorFlow's padding."""

    def __init__(self, width: float, output_stride: int, divisor: int) -> None:
        super().__init__()
        from transformers import MobileNetV2Config, MobileNetV2ForSemanticSegmentation

        config = MobileNetV2Config(
            depth_multiplier=width,
            output_stride=output_stride,
            depth_divisible_by=divisor,
            min_depth=divisor,
            num_labels=21,
        )
        self.network: Any = MobileNetV2ForSemanticSegmentation(config)
        self.network.mobilenet_v2.conv_1x1 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return _resized(self.network(x).logits, x)


def _convolution(in_channels: int, out_channels: int, kernel: int = 1, rate: int = 1) -> nn.Sequential:
    """With a normalization and a ReLU; depthwise where it is 3x3."""
    groups, padding = (in_channels, rate) if kernel == 3 else (1, 0)
    layer = nn.Conv2d(in_channels, out_channels, kernel, 1, padding, rate, groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels), nn.ReLU())


def _separable(in_channels: int, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(_convolution(in_channels, in_channels, 3, rate), _convolution(in_channels, DEPTH))


class Xception65(nn.Module):
    """timm's backbone; the head as `research/deeplab/model.py` describes it, from 2048 and 256 channels."""

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        import timm

        self.backbone: Any = timm.create_model("xception65", output_stride=output_stride, num_classes=0)
        self.pool = _convolution(2048, DEPTH)
        self.point = _convolution(2048, DEPTH)
        self.atrous = nn.ModuleList(_separable(2048, rate * 16 // output_stride) for rate in (6, 12, 18))
        self.join = _convolution(5 * DEPTH, DEPTH)
        self.fine = _convolution(256, 48)
        self.decoder = nn.Sequential(_separable(DEPTH + 48), _separable(DEPTH))
        self.logits = nn.Conv2d(DEPTH, 21, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        # Cloned: the activation after it works in place.
        fine_layer = self.backbone.blocks[1].stack.conv2
        hook = fine_layer.register_forward_hook(lambda _, __, output: kept.append(output.clone()))
        coarse = self.backbone.forward_features(x)
        hook.remove()
        seen = [_resized(self.pool(coarse.mean((2, 3), keepdim=True)), coarse), self.point(coarse)]
        joined = self.join(torch.cat([*seen, *(branch(coarse) for branch in self.atrous)], 1))
        fine = kept[0]
        decoded = self.decoder(torch.cat([_resized(joined, fine), self.fine(fine)], 1))
        return _resized(self.logits(decoded), x)
