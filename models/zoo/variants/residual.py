"""Xception, CondenseNet and SENet."""

from models.zoo.variant import HALF, Family, Variant, build

XCEPTION = Family(
    "xception",
    2016,
    "depthwise separable convolutions throughout, with residual connections",
    "Chollet 2016, arXiv:1610.02357",
    interpolation="bicubic",
    mean=HALF,
    std=HALF,
)
CONDENSENET = Family(
    "condensenet",
    2017,
    "dense connections whose learned group convolutions gather the features that training kept",
    "Huang et al. 2017, arXiv:1711.09224",
)
SENET = Family(
    "senet",
    2017,
    "squeeze-and-excitation added to networks made without it",
    "Hu et al. 2017, arXiv:1709.01507",
)

VARIANTS: tuple[Variant, ...] = (
    build(XCEPTION, "xception", "Xception", {}, default=True, resolution=299, crop_fraction=0.897),
    build(CONDENSENET, "condensenet_74_c4", "CondenseNet", {"groups": 4, "condensation": 4}, default=True),
    build(CONDENSENET, "condensenet_74_c8", "CondenseNet", {"groups": 8, "condensation": 8}),
    build(SENET, "se_resnet50", "se_resnet50", {}, default=True),
    build(SENET, "se_mobilenet_v1", "se_mobilenet_v1", {}, default=True, reconstruction=True),
    build(SENET, "se_shufflenet_v1_g3", "se_shufflenet_v1", {"groups": 3}, default=True, reconstruction=True),
)
