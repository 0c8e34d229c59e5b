"""DiCENet and ESPNetv2: axes, order of concatenation, fields of view, what passes and what is added."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import models
from models.zoo.dicenet import AxisConv, BasicUnit, DiCENet, DimensionFusion, DownUnit
from models.zoo.espnetv2 import EESP, DownSampler, ESPNetv2


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


@pytest.mark.parametrize("axis", [2, 3])
def test_an_axis_convolution_mixes_channels_and_the_other_axis(axis):
    """Row r is filtered over channels and columns by filter r, column c over rows and channels by filter c."""
    layer = AxisConv(axis, 5)
    x = noise(1, 4, 5, 5)
    y = layer(x)
    assert y.shape == x.shape
    for index in range(5):
        plane = x.select(axis, index)  # (1, channels, the other axis)
        plane = plane.transpose(1, 2) if axis == 3 else plane  # columns are filtered as (rows, channels)
        expected = functional.conv2d(plane[:, None], layer.conv.weight[index : index + 1], padding=1)[:, 0]
        expected = expected.transpose(1, 2) if axis == 3 else expected
        torch.testing.assert_close(y.select(axis, index), expected)


def test_an_axis_convolution_resizes_other_sizes_there_and_back():
    layer = AxisConv(2, 6)
    nn.init.zeros_(layer.conv.weight)
    nn.init.ones_(layer.conv.weight[:, 0, 1, 1])  # the identity
    grown, shrunk = noise(1, 2, 4, 3), noise(1, 2, 12, 3)
    up = functional.interpolate(grown, (6, 3), mode="bilinear", align_corners=True)
    torch.testing.assert_close(layer(grown), functional.adaptive_avg_pool2d(up, (4, 3)))
    down = functional.avg_pool2d(shrunk, (2, 1))
    torch.testing.assert_close(
        layer(shrunk), functional.interpolate(down, (12, 3), mode="bilinear", align_corners=True)
    )


def test_dimensions_are_merged_channel_by_channel_and_gated_from_the_merged_map():
    block = DimensionFusion(8, 5).eval()
    x = noise(1, 8, 5, 5)
    parts = torch.cat((block.channelwise(x), block.rowwise(x), block.columnwise(x)), dim=1)
    parts = block.norm(parts)
    triples = torch.stack(parts.chunk(3, dim=1), dim=2).flatten(1, 2)  # channel c of all three, side by side
    merged = block.merge(triples)
    torch.testing.assert_close(block(x), block.project(merged) * block.gate(merged))
    assert block.merge[0].groups == block.project[0].groups == 8


def test_dicenet_units_interleave_their_halves():
    unit = BasicUnit(6, 8, 5).eval()
    x = noise(1, 6, 5, 5)
    joined = torch.cat((x[:, :3], unit.branch(x[:, 3:])), dim=1)
    torch.testing.assert_close(unit(x), joined[:, [0, 4, 1, 5, 2, 6, 3, 7]])
    down = DownUnit(4, 3).eval()
    x = noise(1, 4, 6, 6)
    y = down(x)
    torch.testing.assert_close(y[:, 0::2], down.left(x))
    torch.testing.assert_close(y[:, 1::2], down.right(x))


def test_dicenet_has_one_filter_per_row_at_its_resolution():
    with torch.device("meta"):
        at_160 = DiCENet(0.2, resolution=160)
        assert sorted({layer.size for layer in of_type(at_160, AxisConv)}) == [5, 10, 20]
        assert at_160(torch.zeros(1, 3, 160, 160)).shape == (1, 1000)
        assert models.create("dicenet_0.2")(torch.zeros(1, 3, 160, 160)).shape == (1, 1000)
    with pytest.raises(ValueError, match=r"0\.2, 0\.5"):
        DiCENet(0.3)


@pytest.mark.parametrize(
    ("limit", "dilations"), [(13, [1, 2, 3, 4]), (9, [1, 2, 3, 4]), (7, [1, 1, 2, 3]), (5, [1, 1, 1, 2])]
)
def test_branches_beyond_the_limit_are_not_dilated(limit, dilations):
    branches = EESP(16, 16, limit).branches
    assert [branch.dilation[0] for branch in branches] == dilations
    assert [branch.padding for branch in branches] == [branch.dilation for branch in branches]


def test_limits_of_the_stages():
    with torch.device("meta"):
        network = ESPNetv2(0.5)
    downs = [[branch.dilation[0] for branch in down.pyramid.branches] for down in network.downs]
    assert downs == [[1, 2, 3, 4]] * 3 + [[1, 1, 2, 3]]
    units = [[branch.dilation[0] for branch in unit.branches] for stage in network.stages for unit in stage]
    assert units == [[1, 2, 3, 4]] * 3 + [[1, 1, 2, 3]] * 7 + [[1, 1, 1, 2]] * 3


def test_branches_are_summed_upwards_and_the_identity_is_added_before_the_activation():
    unit = EESP(16, 16, 9).eval()
    x = noise(1, 16, 9, 9)
    reduced = unit.reduce(x)
    outputs = [branch(reduced) for branch in unit.branches]
    sums = [sum(outputs[: count + 1]) for count in range(4)]
    expanded = unit.expand(unit.norm(torch.cat(sums, dim=1)))
    torch.testing.assert_close(unit(x), unit.activation(expanded + x))


def test_a_down_sampler_puts_the_pooled_input_first_and_adds_the_image():
    down = DownSampler(8, 24, 9, 3).eval()
    x, image = noise(1, 8, 12, 12), noise(1, 3, 6, 6)
    plain = torch.cat((functional.avg_pool2d(x, 3, 2, 1), down.pyramid(x)), dim=1)
    torch.testing.assert_close(down(x, None), down.activation(plain))
    torch.testing.assert_close(down(x, image), down.activation(plain + down.shortcut(image)))


def test_the_image_reaches_three_stages_and_the_fourth_shortcut_never_runs():
    with torch.device("meta"):
        network = ESPNetv2(0.5).eval()
    sizes = []
    for down in network.downs:
        down.shortcut.register_forward_hook(lambda layer, inputs, output: sizes.append(inputs[0].shape[-1]))
    network(torch.zeros(1, 3, 64, 64, device="meta"))
    assert sizes == [16, 8, 4]


@pytest.mark.parametrize(
    ("width", "stem", "last", "head"), [(0.49, 16, 256, 1024), (0.99, 32, 512, 1024), (1.75, 32, 896, 1280)]
)
def test_widths_between_those_of_the_paper(width, stem, last, head):
    with torch.device("meta"):
        network = ESPNetv2(width)
    assert network.stem[0].out_channels == stem
    assert (network.last[1][0].in_channels, network.last[1][0].out_channels) == (last, head)


def test_a_width_that_its_groups_do_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"a width of 0\.9 leaves 28 channels"):
        ESPNetv2(0.9)
