"""DeepLab."""

from models.zoo.variant import HALF, Family, Variant, build

DEEPLAB = Family(
    "deeplab",
    2017,
    "segmentation: atrous convolutions keep maps large, pooling at several scales sees the whole",
    "Chen et al. 2017, arXiv:1706.05587; Chen et al. 2018, arXiv:1802.02611; Sandler et al. 2018, arXiv:1801.04381",
    mean=HALF,
    std=HALF,
    rule="longer side",  # nothing is cut off: deeplab_demo.ipynb of tensorflow/models fills up with the mean color, too
)
RESOLUTION = 513  # 1 + 32 * 16, so that corners of images and of maps lie upon each other
VOC_CLASSES = 21  # the twenty of PASCAL VOC and the background


def _deeplab(name: str, factory: str, **arguments: float) -> Variant:
    return build(
        DEEPLAB,
        name,
        factory,
        arguments,
        resolution=RESOLUTION,
        crop_fraction=1.0,
        task="segmentation",
        classes=VOC_CLASSES,
    )


VARIANTS: tuple[Variant, ...] = (
    *(
        _deeplab(
            f"deeplab_v3_mobilenet_v2_{width}{suffix}",
            "DeepLabV3MobileNetV2",
            width=width,
            output_stride=output_stride,
        )
        for width in (1.0, 0.5)
        for suffix, output_stride in (("", 16), ("_os8", 8))
    ),
    _deeplab("deeplab_v3plus_xception_65", "DeepLabV3PlusXception65"),
)
