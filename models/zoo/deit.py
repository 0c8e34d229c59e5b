"""DeiT: a vision transformer of plain layers.

Touvron et al. 2020, "Training data-efficient image transformers & distillation through attention", arXiv:2012.12877,
Table 1 (DeiT-Ti), without the distillation token; the layers are those of Dosovitskiy et al. 2020, arXiv:2010.11929.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.zoo.layers import attend

PATCH = 16
GRID = 14  # patches per side of the 224 x 224 images the positions are learned for
EPS = 1e-6


class Attention(nn.Module):
    """Every token looks at every token; queries, keys and values come from one linear layer, in this order."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = self.project(attend(self.qkv(x), self.heads))
        return attended


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a normalization and added to its input."""

    def __init__(self, dim: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(dim, eps=EPS), Attention(dim, heads))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim, eps=EPS), nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        y: Tensor = self.perceptron(x)
        return x + y


class DeiT(nn.Module):
    """A class token is put before the patches; the classifier sees it alone.

    For images of another size than 224 x 224 the learned positions are interpolated; a rest that does not fill a
    patch at the right and at the bottom is ignored.
    """

    def __init__(
        self,
        dim: int = 192,
        layers: int = 12,
        heads: int = 3,
        ratio: int = 4,
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(in_chans, dim, PATCH, stride=PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, ratio) for _ in range(layers)))
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        positions = self._positions(x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + positions
        logits: Tensor = self.classifier(self.norm(self.blocks(x))[:, 0])
        return logits

    def _positions(self, height: int, width: int) -> Tensor:
        if (height, width) == (GRID, GRID):
            return self.positions
        grid = self.positions[:, 1:].transpose(1, 2).reshape(1, -1, GRID, GRID)
        grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        return torch.cat((self.positions[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)
