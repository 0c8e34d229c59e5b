"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, Table 2.
"""

from torch import Tensor, nn

from models.zoo.layers import ConvBNAct, InvertedResidual, PooledClassifier, make_divisible

# One row per stage, as in the paper: expansion t, output channels c, repeats n, stride s of the first repeat.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """`width` scales every layer but the last 1280 channels, which only grow (width above 1) and never shrink."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        channels = make_divisible(32 * width)
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.ReLU6)]
        for t, c, n, s in STAGES:
            out = make_divisible(c * width)
            for repeat in range(n):
                stride = s if repeat == 0 else 1
                layers.append(InvertedResidual(channels, t * channels, out, 3, stride, nn.ReLU6))
                channels = out
        head = make_divisible(1280 * max(1.0, width))
        layers.append(ConvBNAct(channels, head, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
