"""Batch normalization folded into the convolution before it, as every exporter does."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> None:
    """Fold those that follow a convolution in an `nn.Sequential`, where nothing else can see what is between.

    The network computes the same in evaluation mode, and its parameters are those of the exported files.
    """
    for sequence in list(network.modules()):
        if not isinstance(sequence, nn.Sequential):
            continue
        names = list(sequence._modules)
        for first, second in pairwise(names):
            convolution, norm = sequence._modules[first], sequence._modules[second]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
                training = network.training
                fused = fuse_conv_bn_eval(convolution.eval(), norm.eval()).train(training)
                if fused.bias is not None:  # a convolution that had none leaves it fixed
                    fused.bias.requires_grad_(convolution.weight.requires_grad)
                sequence._modules[first] = fused
                sequence._modules[second] = nn.Identity().train(training)
