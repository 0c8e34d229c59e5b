"""AlexNet, as first published and in the later form for one GPU.

Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks" (NeurIPS), Figure 2;
Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, in the layers of
torchvision.
"""

from torch import Tensor, nn

HIDDEN = 4096
GRID = 6


class AlexNet(nn.Module):
    """`features`, pooled to 6 x 6 (which changes nothing at the size the network was made for), three linear layers."""

    def __init__(self, features: nn.Sequential, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(GRID)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(256 * GRID * GRID, HIDDEN),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)))
        return logits


def alexnet_2012(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> AlexNet:
    """Two groups in layers 2, 4 and 5, response normalization after layers 1 and 2; for 227 x 227 images."""
    features = nn.Sequential(
        nn.Conv2d(in_chans, 96, 11, stride=4),
        nn.ReLU(),
        _response_norm(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2),
        nn.ReLU(),
        _response_norm(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(256, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    )
    return AlexNet(features, num_classes, dropout)


def alexnet(num_classes: int = 1000, in_chans: int = 3, dropout: float = 0.5) -> AlexNet:
    """Neither groups nor response normalization."""
    features = nn.Sequential(
        nn.Conv2d(in_chans, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    )
    return AlexNet(features, num_classes, dropout)


def _response_norm() -> nn.LocalResponseNorm:
    """The paper's k = 2, n = 5, alpha = 1e-4, beta = 0.75; PyTorch divides alpha by n."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
