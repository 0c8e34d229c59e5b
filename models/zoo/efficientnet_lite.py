"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, for integer hardware.

Block table: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946, Table 1 (B0). The Lite rules are the authors' release (tensorflow/tpu,
models/official/efficientnet/lite): stem and head keep their width, first and last stage keep one block.
"""

import math

from torch import Tensor, nn

from models.zoo.efficientnet import HEAD, STAGES, STEM
from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, follow_tensorflow, make_divisible


class EfficientNetLite(nn.Module):
    """`width` and `depth` are the compound scaling of EfficientNet; lite0 has both at 1.

    With `tensorflow` strided layers pad, and batch normalization rounds, as where the authors' weights were trained.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
        tensorflow: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvBNAct(in_chans, STEM, 3, 2, activation=nn.ReLU6)]
        channels = STEM
        for index, (kernel, first_stride, expansion, paper_out, repeats) in enumerate(STAGES):
            out = make_divisible(paper_out * width)
            fixed = index in (0, len(STAGES) - 1)
            for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
                stride = first_stride if repeat == 0 else 1
                layers.append(InvertedResidual(channels, expansion * channels, out, kernel, stride, nn.ReLU6))
                channels = out
        layers.append(ConvBNAct(channels, HEAD, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(HEAD, num_classes, dropout)
        if tensorflow:
            follow_tensorflow(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
