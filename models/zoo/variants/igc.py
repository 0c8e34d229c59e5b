"""Networks of interleaved group convolutions."""

from models.zoo.variant import Family, Variant, build, widths

IGCV1 = Family(
    "igcv1",
    2017,
    "interleaved group convolutions: grouped 3x3, then 1x1 across these groups, with permutations between",
    "Zhang et al. 2017, arXiv:1707.02725",
)
IGCV2 = Family(
    "igcv2",
    2018,
    "1x1 layers factorized into sparse grouped ones with permutations between; a reconstruction of the network",
    "Xie et al. 2018, arXiv:1804.06202",
)
IGCV3 = Family(
    "igcv3",
    2018,
    "inverted residuals with grouped 1x1 layers and a permutation between",
    "Sun et al. 2018, arXiv:1806.00178",
)

VARIANTS: tuple[Variant, ...] = (
    build(IGCV1, "igcv1_l100m2", "igcv1_l100m2", {}, default=True),
    build(IGCV1, "igcv1_l4m32", "igcv1", {"primary": 4, "secondary": 32}),
    build(IGCV1, "igcv1_l16m16", "igcv1", {"primary": 16, "secondary": 16}),
    *(
        build(IGCV2, f"igcv2_{width}", "IGCV2", {"width": width}, default=width == 1.0, reconstruction=True)
        for width in (1.0, 0.5, 0.25)
    ),
    *widths(IGCV3, "igcv3_d", "IGCV3", (1.0, 0.75, 0.5, 0.25)),
)
