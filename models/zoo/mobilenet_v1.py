"""MobileNetV1: depthwise separable convolutions.

Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv:1704.04861, Table 1. The paper prints stride 2 for the last depthwise layer while its shapes show stride 1.
The activation is ReLU6, as in the authors' TF-slim release (the paper says ReLU).
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, PooledClassifier

# One row per depthwise separable unit: output channels, stride.
UNITS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


class MobileNetV1(nn.Module):
    """`width` is the paper's alpha: it scales every layer, the 32-channel stem and the last 1024 included."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.001) -> None:
        super().__init__()
        channels = _scaled(32, width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.ReLU6)]
        for out, stride in UNITS:
            layers.append(ConvBNAct(channels, channels, 3, stride, groups=channels, activation=nn.ReLU6))
            layers.append(ConvBNAct(channels, _scaled(out, width), activation=nn.ReLU6))
            channels = _scaled(out, width)
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(channels, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


def _scaled(channels: int, width: float) -> int:
    return max(8, int(channels * width))
