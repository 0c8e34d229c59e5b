"""MobileViT and EdgeViT."""

from models.zoo.variant import Family, Variant, build

MOBILEVIT = Family(
    "mobilevit",
    2021,
    "transformers over unfolded patches in the place of deep convolutions",
    "Mehta and Rastegari 2021, arXiv:2110.02178",
    interpolation="bicubic",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    channel_order="BGR",
)
EDGEVIT = Family(
    "edgevit",
    2022,
    "local aggregation, attention among a sparse set of tokens, local propagation",
    "Pan et al. 2022, arXiv:2205.03436",
    interpolation="bicubic",
)
SIZES = ("xxs", "xs", "s")

VARIANTS: tuple[Variant, ...] = (
    *(
        build(
            MOBILEVIT,
            f"mobilevit_{size}",
            "MobileViT",
            {"size": size},
            default=size == SIZES[0],
            resolution=256,
            crop_fraction=256 / 288,
        )
        for size in SIZES
    ),
    *(build(EDGEVIT, f"edgevit_{size}", "EdgeViT", {"size": size}, default=size == SIZES[0]) for size in SIZES),
)
