"""Well-known larger networks to compare with."""

from models.zoo.variant import Family, Variant, build

ALEXNET = Family(
    "alexnet",
    2012,
    "large convolutions and three linear layers",
    "Krizhevsky et al. 2012 (NeurIPS); Krizhevsky 2014, arXiv:1404.5997",
)
VGG = Family("vgg", 2014, "3x3 convolutions only", "Simonyan and Zisserman 2014, arXiv:1409.1556")
GOOGLENET = Family(
    "googlenet",
    2014,
    "Inception modules of parallel branches",
    "Szegedy et al. 2014, arXiv:1409.4842",
)
INCEPTION_V3 = Family(
    "inception_v3",
    2015,
    "Inception modules with factorized convolutions",
    "Szegedy et al. 2015, arXiv:1512.00567",
)
RESNET = Family("resnet", 2015, "bottlenecks with residual connections", "He et al. 2015, arXiv:1512.03385")
DEIT = Family(
    "deit",
    2020,
    "a vision transformer trained without extra data",
    "Touvron et al. 2020, arXiv:2012.12877",
    interpolation="bicubic",
)

VARIANTS: tuple[Variant, ...] = (
    build(ALEXNET, "alexnet_2012", "alexnet_2012", {}, resolution=227, crop_fraction=227 / 256),
    build(ALEXNET, "alexnet", "alexnet", {}),
    build(VGG, "vgg16", "VGG16", {}),
    build(GOOGLENET, "googlenet", "GoogLeNet", {}),
    build(INCEPTION_V3, "inception_v3", "InceptionV3", {}, resolution=299, crop_fraction=299 / 342),
    build(RESNET, "resnet50", "resnet50", {}, default=True),
    build(DEIT, "deit_tiny", "DeiT", {"dim": 192, "heads": 3}, default=True),
)
