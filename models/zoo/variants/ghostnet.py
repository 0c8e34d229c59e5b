"""GhostNet."""

from models.zoo.variant import Family, Variant, widths

GHOSTNET = Family(
    "ghostnet",
    2019,
    "half of the feature maps made from the other half by cheap depthwise convolutions",
    "Han et al. 2019, arXiv:1911.11907",
    interpolation="bicubic",
)

VARIANTS: tuple[Variant, ...] = tuple(widths(GHOSTNET, "ghostnet", "GhostNet", (1.0, 0.5, 1.3)))
