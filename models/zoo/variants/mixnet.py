"""MixNet."""

from models.zoo.variant import Family, Variant, build

MIXNET = Family(
    "mixnet",
    2019,
    "depthwise convolutions that mix several kernel sizes in one layer",
    "Tan and Le 2019, arXiv:1907.09595",
    interpolation="bicubic",
)

VARIANTS: tuple[Variant, ...] = (
    build(MIXNET, "mixnet_s", "mixnet_s", {}, default=True),
    build(MIXNET, "mixnet_m", "mixnet_m", {}),
    build(MIXNET, "mixnet_l", "mixnet_m", {"width": 1.3}),
)
