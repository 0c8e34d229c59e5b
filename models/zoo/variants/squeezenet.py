"""SqueezeNet and SqueezeNext."""

from models.zoo.variant import Family, Variant, build

SQUEEZENET = Family(
    "squeezenet",
    2016,
    "Fire modules: squeeze by 1x1 convolutions, expand by 1x1 and 3x3",
    "Iandola et al. 2016, arXiv:1602.07360",
)
SQUEEZENEXT = Family(
    "squeezenext",
    2018,
    "two-stage squeeze and 3x3 convolutions separated into 3x1 and 1x3",
    "Gholami et al. 2018, arXiv:1803.10615",
    mean=(104.0, 117.0, 123.0),
    std=(1.0, 1.0, 1.0),
    channel_order="BGR",
    range=(0.0, 255.0),
)

_NEXT: tuple[tuple[str, dict[str, float | bool]], ...] = (
    ("squeezenext_23_1.0", {}),
    ("squeezenext_23_g_1.0", {"groups": 2}),
    ("squeezenext_23v5_1.0", {"v5": True}),
    ("squeezenext_23_2.0", {"width": 2.0}),
    ("squeezenext_23v5_2.0", {"width": 2.0, "v5": True}),
)

VARIANTS: tuple[Variant, ...] = (
    build(SQUEEZENET, "squeezenet_1.0", "squeezenet_1_0", {}),
    build(SQUEEZENET, "squeezenet_1.1", "squeezenet_1_1", {}, default=True),
    *(
        build(
            SQUEEZENEXT,
            name,
            "SqueezeNext",
            {"width": 1.0, **arguments},
            default=name == "squeezenext_23_1.0",
            resolution=227,
            crop_fraction=227 / 256,
        )
        for name, arguments in _NEXT
    ),
)
