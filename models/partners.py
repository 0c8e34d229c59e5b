"""Which network of timm or torchvision computes the very same as a variant of the zoo, so that its weights fit.

Each pair gave equal outputs with random weights in both; `models.transfer` proves it again whenever weights are taken.
Those of timm that begin with `tf_` pad like TensorFlow, which the variant then does, too.
"""

from __future__ import annotations

from models.errors import NoSuchWeights
from models.zoo.variant import Variant

_PARTNERS = {
    "mobilenet_v1_1.0": "timm:mobilenetv1_100.ra4_e3600_r224_in1k",
    "mobilenet_v2_1.0": "torchvision:mobilenet_v2",
    "mobilenet_v2_0.5": "timm:mobilenetv2_050.lamb_in1k",
    "mobilenet_v2_1.4": "timm:mobilenetv2_140.ra_in1k",
    "mobilenet_v3_large_1.0": "torchvision:mobilenet_v3_large",
    "mobilenet_v3_large_0.75": "timm:tf_mobilenetv3_large_075.in1k",
    "mobilenet_v3_large_minimalistic": "timm:tf_mobilenetv3_large_minimal_100.in1k",
    "mobilenet_v3_small_1.0": "torchvision:mobilenet_v3_small",
    "mobilenet_v3_small_0.75": "timm:mobilenetv3_small_075.lamb_in1k",
    "mobilenet_v3_small_0.5": "timm:mobilenetv3_small_050.lamb_in1k",
    "mobilenet_v3_small_minimalistic": "timm:tf_mobilenetv3_small_minimal_100.in1k",
    "shufflenet_v2_0.5": "torchvision:shufflenet_v2_x0_5",
    "shufflenet_v2_1.0": "torchvision:shufflenet_v2_x1_0",
    "shufflenet_v2_1.5": "torchvision:shufflenet_v2_x1_5",
    "shufflenet_v2_2.0": "torchvision:shufflenet_v2_x2_0",
    "squeezenet_1.0": "torchvision:squeezenet1_0",
    "squeezenet_1.1": "torchvision:squeezenet1_1",
    "resnet50": "torchvision:resnet50",
    "se_resnet50": "timm:legacy_seresnet50.in1k",
    "xception": "timm:legacy_xception.tf_in1k",
    "vgg16": "torchvision:vgg16",
    "alexnet": "torchvision:alexnet",
    "deit_tiny": "timm:deit_tiny_patch16_224.fb_in1k",
    "mnasnet_a1_1.0": "timm:semnasnet_100.rmsp_in1k",
    "mnasnet_a1_0.75": "timm:semnasnet_075.rmsp_in1k",
    "mnasnet_b1_0.5": "torchvision:mnasnet0_5",
    "mnasnet_b1_0.75": "torchvision:mnasnet0_75",
    "mnasnet_b1_1.0": "torchvision:mnasnet1_0",
    "mnasnet_b1_1.3": "torchvision:mnasnet1_3",
    "mnasnet_small": "timm:mnasnet_small.lamb_in1k",
    **{f"efficientnet_b{size}": f"torchvision:efficientnet_b{size}" for size in range(8)},
    **{f"efficientnet_v2_b{size}": f"timm:tf_efficientnetv2_b{size}.in1k" for size in range(4)},
    **{f"efficientnet_v2_{size}": f"torchvision:efficientnet_v2_{size}" for size in ("s", "m", "l")},
    "efficientnet_lite0": "timm:efficientnet_lite0.ra_in1k",
    "efficientnet_lite3": "timm:tf_efficientnet_lite3.in1k",
    "efficientnet_lite4": "timm:tf_efficientnet_lite4.in1k",
    **{f"tinynet_{size}": f"timm:tinynet_{size}.in1k" for size in "abcde"},
    **{f"mixnet_{size}": f"timm:mixnet_{size}.ft_in1k" for size in "sml"},
    "ghostnet_1.0": "timm:ghostnet_100.in1k",
    **{f"mobilevit_{size}": f"timm:mobilevit_{size}.cvnets_in1k" for size in ("xxs", "xs", "s")},
}


def names() -> dict[str, str]:
    """`LIBRARY:NETWORK` of every variant that has a partner."""
    return dict(_PARTNERS)


def partner(variant: Variant) -> str:
    """`LIBRARY:NETWORK` whose weights fit a variant, at whichever resolution. Raises NoSuchWeights that names all."""
    found = _PARTNERS.get(variant.name.partition("@")[0])
    if found is None:
        raise NoSuchWeights(f"--weights pretrained exists in the zoo for {', '.join(_PARTNERS)}")
    return found
