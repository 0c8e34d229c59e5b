"""EfficientNet, EfficientNetV2 and EfficientNet-Lite."""

from dataclasses import replace

from models.zoo.variant import HALF, Family, Variant, build

EFFICIENTNET = Family(
    "efficientnet",
    2019,
    "width, depth and resolution scaled together from one searched network",
    "Tan and Le 2019, arXiv:1905.11946",
    interpolation="bicubic",
)
EFFICIENTNET_V2 = Family(
    "efficientnet_v2",
    2021,
    "EfficientNet searched for training speed: plain 3x3 convolutions instead of depthwise ones in the first stages",
    "Tan and Le 2021, arXiv:2104.00298",
    interpolation="bicubic",
)
# The larger networks of the release scale pixels to -1 .. 1 instead.
_LARGER_V2 = replace(EFFICIENTNET_V2, mean=HALF, std=HALF)
EFFICIENTNET_LITE = Family(
    "efficientnet_lite",
    2020,
    "EfficientNet for integer hardware: ReLU6, no squeeze-and-excitation, fixed stem and head",
    "EfficientNet-Lite release 2020 (tensorflow/tpu), after Tan and Le 2019, arXiv:1905.11946",
    interpolation="bicubic",
    mean=HALF,
    std=HALF,
)

Scaling = tuple[str, float, float, int, float, float]

# Each row: name, width, depth, resolution, dropout, crop fraction.
_B: tuple[Scaling, ...] = (
    ("efficientnet_b0", 1.0, 1.0, 224, 0.2, 0.875),
    ("efficientnet_b1", 1.0, 1.1, 240, 0.2, 0.882),
    ("efficientnet_b2", 1.1, 1.2, 260, 0.3, 0.890),
    ("efficientnet_b3", 1.2, 1.4, 300, 0.3, 0.904),
    ("efficientnet_b4", 1.4, 1.8, 380, 0.4, 0.922),
    ("efficientnet_b5", 1.6, 2.2, 456, 0.4, 0.934),
    ("efficientnet_b6", 1.8, 2.6, 528, 0.5, 0.942),
    ("efficientnet_b7", 2.0, 3.1, 600, 0.5, 0.949),
)
_V2_B: tuple[Scaling, ...] = (
    ("efficientnet_v2_b0", 1.0, 1.0, 224, 0.2, 0.875),
    ("efficientnet_v2_b1", 1.0, 1.1, 240, 0.2, 0.882),
    ("efficientnet_v2_b2", 1.1, 1.2, 260, 0.3, 0.890),
    ("efficientnet_v2_b3", 1.2, 1.4, 300, 0.3, 0.904),
)
_LITE: tuple[Scaling, ...] = (
    ("efficientnet_lite0", 1.0, 1.0, 224, 0.2, 0.875),
    ("efficientnet_lite1", 1.0, 1.1, 240, 0.2, 0.882),
    ("efficientnet_lite2", 1.1, 1.2, 260, 0.3, 0.890),
    ("efficientnet_lite3", 1.2, 1.4, 280, 0.3, 0.904),
    ("efficientnet_lite4", 1.4, 1.8, 300, 0.3, 0.920),
)


def _scaled(family: Family, factory: str, rows: tuple[Scaling, ...]) -> list[Variant]:
    """One variant per row, the first of them the default."""
    return [
        build(
            family,
            name,
            factory,
            {"width": width, "depth": depth, "dropout": dropout},
            default=name == rows[0][0],
            resolution=resolution,
            crop_fraction=crop_fraction,
        )
        for name, width, depth, resolution, dropout, crop_fraction in rows
    ]


VARIANTS: tuple[Variant, ...] = (
    *_scaled(EFFICIENTNET, "EfficientNet", _B),
    *_scaled(EFFICIENTNET_V2, "efficientnet_v2_b", _V2_B),
    *(
        build(_LARGER_V2, name, name, {}, resolution=resolution, crop_fraction=1.0)
        for name, resolution in (
            ("efficientnet_v2_s", 384),
            ("efficientnet_v2_m", 480),
            ("efficientnet_v2_l", 480),
            ("efficientnet_v2_xl", 512),
        )
    ),
    *_scaled(EFFICIENTNET_LITE, "EfficientNetLite", _LITE),
)
