"""ESPNetv2 and DiCENet."""

from models.zoo.variant import Family, Variant, widths

ESPNETV2 = Family(
    "espnetv2",
    2018,
    "pyramids of parallel depthwise dilated convolutions, summed from small to large fields of view",
    "Mehta et al. 2018, arXiv:1811.11431",
)
DICENET = Family(
    "dicenet",
    2019,
    "convolutions over channels, rows and columns alike, fused by a gated grouped convolution",
    "Mehta et al. 2019, arXiv:1906.03516",
)

VARIANTS: tuple[Variant, ...] = (
    *widths(ESPNETV2, "espnetv2", "ESPNetv2", (1.0, 0.5, 1.25, 1.5, 2.0)),
    *widths(DICENET, "dicenet", "DiCENet", (1.0, 0.2, 0.5, 0.75, 1.25, 1.5, 1.75, 2.0)),
)
