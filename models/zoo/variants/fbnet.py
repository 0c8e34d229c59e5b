"""FBNet and ChamNet."""

from models.zoo.variant import Family, Variant, build

FBNET = Family(
    "fbnet",
    2018,
    "blocks chosen layer by layer with a differentiable search on a phone's latency table",
    "Wu et al. 2018, arXiv:1812.03443",
)
CHAMNET = Family(
    "chamnet",
    2018,
    "inverted residuals adapted to a platform by predictors; the two public trunks, with a head added here",
    "Dai et al. 2018, arXiv:1812.08934; trunks of facebookresearch/maskrcnn-benchmark",
)

VARIANTS: tuple[Variant, ...] = (
    build(FBNET, "fbnet_c", "fbnet_c", {}, default=True),
    build(FBNET, "fbnet_a", "fbnet_a", {}),
    build(FBNET, "fbnet_b", "fbnet_b", {}),
    build(CHAMNET, "cham_v2", "cham_v2", {}, default=True, reconstruction=True),
    build(CHAMNET, "cham_v1a", "cham_v1a", {}, reconstruction=True),
)
