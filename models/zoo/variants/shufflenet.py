"""ShuffleNets."""

from models.zoo.variant import Family, Variant, build, widths

SHUFFLENET_V1 = Family(
    "shufflenet_v1",
    2017,
    "grouped 1x1 convolutions with a channel shuffle between them",
    "Zhang et al. 2017, arXiv:1707.01083",
)
SHUFFLENET_V2 = Family(
    "shufflenet_v2",
    2018,
    "designed by memory traffic: channel split, equal widths, concatenation and shuffle",
    "Ma et al. 2018, arXiv:1807.11164",
)

# The authors' release (megvii-model/ShuffleNet-Series) at other widths than 1: groups, width, stem channels.
_RELEASE = ((3, 0.5, 12), (3, 1.5, 24), (3, 2.0, 48), (8, 0.5, 16), (8, 1.5, 24), (8, 2.0, 48))

VARIANTS: tuple[Variant, ...] = (
    *(
        build(
            SHUFFLENET_V1,
            f"shufflenet_v1_g{groups}_1.0",
            "ShuffleNetV1",
            {"groups": groups, "width": 1.0},
            default=groups == 3,
        )
        for groups in (1, 2, 3, 4, 8)
    ),
    *(
        build(
            SHUFFLENET_V1,
            f"shufflenet_v1_g{groups}_{width}",
            "ShuffleNetV1",
            {"groups": groups, "width": width, "stem": stem, "bias": False},
        )
        for groups, width, stem in _RELEASE
    ),
    *widths(SHUFFLENET_V2, "shufflenet_v2", "ShuffleNetV2", (1.0, 0.5, 1.5, 2.0)),
)
