"""MobileNet V1, V2 and V3."""

from models.zoo.variant import HALF, Family, Variant, build, widths

MOBILENET_V1 = Family(
    "mobilenet_v1",
    2017,
    "depthwise separable convolutions, with a width and a resolution multiplier",
    "Howard et al. 2017, arXiv:1704.04861",
    mean=HALF,
    std=HALF,
)
MOBILENET_V2 = Family(
    "mobilenet_v2",
    2018,
    "inverted residuals: wide depthwise layers between narrow linear bottlenecks",
    "Sandler et al. 2018, arXiv:1801.04381",
    mean=HALF,
    std=HALF,
)
MOBILENET_V3 = Family(
    "mobilenet_v3",
    2019,
    "searched inverted residuals with squeeze-and-excitation and h-swish",
    "Howard et al. 2019, arXiv:1905.02244",
    mean=HALF,
    std=HALF,
)

VARIANTS: tuple[Variant, ...] = (
    *widths(MOBILENET_V1, "mobilenet_v1", "MobileNetV1", (1.0, 0.75, 0.5, 0.25)),
    *widths(MOBILENET_V2, "mobilenet_v2", "MobileNetV2", (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)),
    *widths(MOBILENET_V3, "mobilenet_v3_large", "mobilenet_v3_large", (1.0, 0.75)),
    build(MOBILENET_V3, "mobilenet_v3_large_minimalistic", "mobilenet_v3_large", {"minimalistic": True}),
    *widths(MOBILENET_V3, "mobilenet_v3_small", "mobilenet_v3_small", (1.0, 0.75, 0.5)),
    build(MOBILENET_V3, "mobilenet_v3_small_minimalistic", "mobilenet_v3_small", {"minimalistic": True}),
)
