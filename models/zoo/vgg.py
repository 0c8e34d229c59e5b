"""VGG-16: 3x3 convolutions only, three linear layers.

Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556,
Table 1, column D.
"""

from torch import Tensor, nn

# Output channels of each convolution, stage by stage; a pool ends each stage.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
HIDDEN = 4096
GRID = 7


class VGG16(nn.Module):
    """No normalization; the last features are pooled to 7 x 7, which changes nothing at 224 x 224."""

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_chans
        for stage in STAGES:
            for out in stage:
                layers.extend((nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()))
                channels = out
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(GRID)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * GRID * GRID, HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits
