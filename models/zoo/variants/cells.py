"""NASNet, PNASNet and AmoebaNet."""

from models.zoo.variant import HALF, Family, Variant, build

NASNET = Family(
    "nasnet",
    2017,
    "two cells searched by reinforcement learning on small images and stacked for large ones",
    "Zoph et al. 2017, arXiv:1707.07012",
    mean=HALF,
    std=HALF,
)
PNASNET = Family(
    "pnasnet",
    2017,
    "one cell searched progressively, from simple to complex",
    "Liu et al. 2017, arXiv:1712.00559",
    mean=HALF,
    std=HALF,
)
AMOEBANET = Family(
    "amoebanet",
    2018,
    "two cells searched by evolution that lets the oldest die",
    "Real et al. 2018, arXiv:1802.01548",
    mean=HALF,
    std=HALF,
)

VARIANTS: tuple[Variant, ...] = (
    build(NASNET, "nasnet_a_mobile", "nasnet_a", {"cells": 12, "filters": 44}, default=True),
    build(PNASNET, "pnasnet5_mobile", "pnasnet5", {"cells": 9, "filters": 54}, default=True),
    build(AMOEBANET, "amoebanet_a_n4_f50", "amoebanet_a", {"cells": 12, "filters": 50}, default=True),
    build(AMOEBANET, "amoebanet_c_n4_f44", "amoebanet_c", {"cells": 12, "filters": 44}),
    build(AMOEBANET, "amoebanet_c_n4_f50", "amoebanet_c", {"cells": 12, "filters": 50}),
)
