"""DeepLab: strides and dilations, maps and their corners, heads; what neither counts nor classifiers' tests see."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import models
from models.errors import ModelError
from models.inputs import natural_image
from models.weights import initialize
from models.zoo import catalog
from models.zoo.deeplab import DEPTH, DeepLabV3MobileNetV2, DeepLabV3PlusXception65, Pyramid, Strides, resize

NAMES = catalog.names("deeplab_*")


def build(name, **arguments):
    with torch.device("meta"):
        return models.create(name, **arguments).eval()


def outputs(network, size, types):
    """Of each layer of `types`, in the order in which they run, the layer and the side of what it answers."""
    found = []
    for layer in network.modules():
        if isinstance(layer, types):
            layer.register_forward_hook(lambda layer, _, output: found.append((layer, output.shape[-1])))
    network(torch.zeros(1, 3, size, size, device="meta"))
    return found


def atrous(network, size):
    """Dilation, padding and side of each 3x3 convolution that is dilated."""
    return [
        (layer.dilation[0], layer.padding[0], side)
        for layer, side in outputs(network, size, nn.Conv2d)
        if layer.dilation != (1, 1)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_one_per_class_and_pixel(name):
    variant = catalog.get(name)
    assert (variant.task, variant.classes, variant.default) == ("segmentation", 21, False)
    network = build(name)
    for size in (32, 97, variant.resolution):
        assert network(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 21, size, size)
    other = build(name, num_classes=5, in_chans=1)
    assert other(torch.zeros(1, 1, 65, 97, device="meta")).shape == (1, 5, 65, 97)


def test_images_are_shown_whole():
    shown = catalog.get(NAMES[0]).preprocessing
    assert (shown.rule, shown.resize, shown.crop) == ("longer side", 513, 513)
    assert catalog.get(f"{NAMES[0]}@257").preprocessing.facts()["rule"] == "longer side"
    grey = Image.new("RGB", (500, 375), (200, 100, 50))
    pixels = shown.apply(grey)
    assert pixels.shape == (513, 513, 3)
    assert np.abs(shown.normalized(pixels[-1, -1])).max() < 0.01  # what is filled in is nothing to the network


def test_classifiers_keep_their_thousand_classes():
    assert {variant.classes for variant in catalog.VARIANTS if variant.task == "classification"} == {1000}


def test_stages_beyond_the_output_stride_dilate_what_comes_after_them():
    strides = Strides(8)
    assert [strides.take(stride) for stride in (1, 2, 2, 1, 2, 1, 2, 1)] == [
        *((1, 1), (2, 1), (2, 1), (1, 1)),
        *((1, 1), (1, 2), (1, 2), (1, 4)),
    ]


def test_the_strided_layer_itself_is_not_dilated_on_mobilenet_v2():
    assert atrous(build("deeplab_v3_mobilenet_v2_1.0"), 513) == [(2, 2, 33)] * 3
    assert atrous(build("deeplab_v3_mobilenet_v2_1.0_os8"), 513) == [(2, 2, 65)] * 7 + [(4, 4, 65)] * 3


def test_xception_dilates_its_exit_and_the_pyramid_but_not_the_decoder():
    exit_flow, pyramid = [(2, 2, 33)] * 3, [(rate, rate, 33) for rate in (6, 12, 18)]
    assert atrous(build("deeplab_v3plus_xception_65"), 513) == exit_flow + pyramid
    rates = [rate for rate, _, _ in atrous(build("deeplab_v3plus_xception_65", output_stride=8), 513)]
    assert rates == [2] * 16 * 3 + [2] * 3 + [4] * 3 + [12, 24, 36]


def test_the_decoder_works_at_a_stride_of_four():
    network = build("deeplab_v3plus_xception_65")
    sides = [side for _, side in outputs(network, 513, nn.Conv2d)]
    assert sides[-7:] == [33, *[129] * 6]  # the projection; the fine map, two separable convolutions, the logits
    assert network.fine[0].in_channels == 256
    assert network.decoder[0][0].in_channels == 304


@pytest.mark.parametrize("output_stride", [0, 4, 32])
def test_other_output_strides_are_refused(output_stride):
    with pytest.raises(ModelError, match="it is 8 or 16"):
        build("deeplab_v3_mobilenet_v2_1.0", output_stride=output_stride)


def test_a_half_wide_backbone_has_half_of_every_width():
    wide, narrow = build("deeplab_v3_mobilenet_v2_1.0"), build("deeplab_v3_mobilenet_v2_0.5")
    for left, right in zip(wide.features[1:], narrow.features[1:], strict=True):
        assert left.layers[-1][0].out_channels == 2 * right.layers[-1][0].out_channels
    assert wide.pyramid.project[0][0].weight.shape == narrow.pyramid.project[0][0].weight.shape


def test_corners_stay_where_they_are():
    x = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    y = resize(x, (33, 33))
    torch.testing.assert_close(y[:, :, ::16, ::16], x)
    torch.testing.assert_close(y[:, :, 0, 8], (x[:, :, 0, 0] + x[:, :, 0, 1]) / 2)


def test_the_pyramid_puts_the_mean_first_and_every_rate_after_it():
    pyramid = Pyramid(6, (6, 12), dropout=0.1).eval()
    x = torch.randn(1, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    seen = []
    pyramid.project.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        pyramid(x)
        mean = pyramid.pool[1](x.mean((2, 3), keepdim=True))
        expected = [mean.expand(-1, -1, 5, 5), *(branch(x) for branch in pyramid.branches)]
    torch.testing.assert_close(seen[0], torch.cat(expected, dim=1))
    assert seen[0].shape[1] == 4 * DEPTH


def test_only_the_blocks_before_the_exit_have_a_shortcut_and_activate_first():
    with torch.device("meta"):
        features = DeepLabV3PlusXception65().features
    assert [isinstance(block.shortcut, nn.Identity) for block in features.blocks] == [False] * 3 + [True] * 16 + [False]
    assert all(isinstance(block.end[0], nn.ReLU) for block in features.blocks)
    assert [isinstance(layer, nn.ReLU) for layer in features.exit[0]] == [False, False, True, False, False, True]


def test_random_weights_are_calibrated_through_atrous_convolutions():
    network = DeepLabV3MobileNetV2(0.25, 8)
    initialize(network, 97)
    image = torch.from_numpy(natural_image((2, 3, 97, 97), seed=99))
    with torch.no_grad():
        logits, exact = network(image), network.double()(image.double())
    assert 0.01 < logits.std() < 100
    assert (logits[0] - logits[1]).abs().max() > 0.01
    assert (logits - exact).abs().max() < 5e-5 * exact.abs().max()
