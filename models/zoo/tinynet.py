"""TinyNet: EfficientNet-B0 shrunk, resolution and depth before width.

Han et al. 2020, "Model Rubik's Cube: Twisting Resolution, Depth and Width for TinyNets", arXiv:2010.14819; the
multipliers are the authors' release (huawei-noah/Efficient-AI-Backbones, tinynet_pytorch).
"""

from torch import Tensor, nn

from models.zoo.efficientnet import HEAD, STAGES, STEM, mbconv
from models.zoo.layers import ConvBNAct, PooledClassifier, make_divisible


class TinyNet(nn.Module):
    """`width` scales the stages but not the stem, and the head only grows (width above 1).

    `depth` rounds a stage to the nearest number of layers, a half to the even number; no stage vanishes.
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = STEM
        layers: list[nn.Module] = [ConvBNAct(in_chans, channels, 3, 2, activation=nn.SiLU)]
        for kernel, first_stride, expansion, paper_out, repeats in STAGES:
            out = make_divisible(paper_out * width)
            for repeat in range(max(1, round(repeats * depth))):
                stride = first_stride if repeat == 0 else 1
                layers.append(mbconv(channels, expansion, out, kernel, stride))
                channels = out
        head = make_divisible(HEAD * max(1.0, width))
        layers.append(ConvBNAct(channels, head, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = PooledClassifier(head, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
