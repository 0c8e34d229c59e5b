"""TinyNet."""

from models.zoo.variant import Family, Variant, build

TINYNET = Family(
    "tinynet",
    2020,
    "EfficientNet-B0 shrunk, resolution and depth before width",
    "Han et al. 2020, arXiv:2010.14819",
    interpolation="bicubic",
)

_ROWS = (
    # name, width, depth, resolution
    ("tinynet_a", 1.0, 1.2, 192),
    ("tinynet_b", 0.75, 1.1, 188),
    ("tinynet_c", 0.54, 0.85, 184),
    ("tinynet_d", 0.54, 0.695, 152),
    ("tinynet_e", 0.51, 0.6, 106),
)

VARIANTS: tuple[Variant, ...] = tuple(
    build(
        TINYNET,
        name,
        "TinyNet",
        {"width": width, "depth": depth},
        default=name == "tinynet_a",
        resolution=resolution,
    )
    for name, width, depth, resolution in _ROWS
)
