"""MnasNet."""

from models.zoo.variant import Family, Variant, build, widths

MNASNET = Family(
    "mnasnet",
    2018,
    "architecture search with measured phone latency in the reward",
    "Tan et al. 2018, arXiv:1807.11626",
)

VARIANTS: tuple[Variant, ...] = (
    *widths(MNASNET, "mnasnet_a1", "mnasnet_a1", (1.0, 0.5, 0.75, 1.4)),
    *(build(MNASNET, f"mnasnet_b1_{width}", "mnasnet_b1", {"width": width}) for width in (1.0, 0.5, 0.75, 1.3)),
    build(MNASNET, "mnasnet_small", "mnasnet_small", {}),
)
