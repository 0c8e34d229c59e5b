"""MicroNet."""

from models.zoo.variant import Family, Variant, build

MICRONET = Family(
    "micronet",
    2021,
    "pointwise and depthwise convolutions factorized further, with dynamic shift-max as activation",
    "Li et al. 2021, arXiv:2108.05894",
)

VARIANTS: tuple[Variant, ...] = tuple(
    build(MICRONET, f"micronet_{size}", "MicroNet", {"size": size}, default=size == "m1")
    for size in ("m0", "m1", "m2", "m3")
)
