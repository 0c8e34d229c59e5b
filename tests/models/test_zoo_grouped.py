"""Permutations, orders and places in the networks of grouped convolutions that counts and traces do not see."""

import pytest
import torch
from torch import nn

import models
from models.zoo.condensenet import DenseLayer, LearnedGroupConv
from models.zoo.igcv1 import Block as IGCV1Block
from models.zoo.igcv1 import InterleavedUnit
from models.zoo.igcv2 import IGCV2, SparsePointwise
from models.zoo.igcv3 import IGCV3
from models.zoo.igcv3 import Block as IGCV3Block
from models.zoo.layers import channel_shuffle
from models.zoo.shufflenet_v1 import ShuffleNetV1, Unit
from models.zoo.squeezenext import Block as SqueezeNextBlock
from models.zoo.squeezenext import SqueezeNext


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def image(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


def equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def reaches(layer, channels):
    """For each input channel, the output channels that change with it."""
    base = layer(torch.zeros(1, channels, 1, 1))
    found = []
    for channel in range(channels):
        x = torch.zeros(1, channels, 1, 1)
        x[0, channel] = 1
        found.append(((layer(x) - base).flatten() != 0).nonzero().flatten().tolist())
    return found


def test_shufflenet_v1_shuffles_between_the_grouped_1x1_and_the_depthwise_layer():
    unit = Unit(24, 24, 3, 1, first_groups=3, reduction=None).eval()
    x = image(1, 24, 5, 5)
    y = unit.expand(unit.depthwise(channel_shuffle(unit.reduce(x), 3)))
    equal(unit(x), torch.relu(x + y))


def test_shufflenet_v1_puts_the_pooled_input_behind_the_branch():
    unit = Unit(8, 24, 2, 2, first_groups=1, reduction=None).eval()
    x = image(1, 8, 6, 6)
    y = unit(x)
    equal(y[:, 16:], torch.relu(nn.functional.avg_pool2d(x, 3, 2, 1)))
    equal(y[:, :16], torch.relu(unit.expand(unit.depthwise(channel_shuffle(unit.reduce(x), 2)))))
    assert y.shape == (1, 24, 3, 3)


def test_shufflenet_v1_with_one_group_is_not_shuffled():
    unit = Unit(8, 8, 1, 1, first_groups=1, reduction=None).eval()
    x = image(1, 8, 4, 4)
    equal(unit(x), torch.relu(x + unit.expand(unit.depthwise(unit.reduce(x)))))


def test_shufflenet_v1_groups_all_1x1_convolutions_but_the_first():
    first, *others = [unit.reduce[0].groups for unit in of_type(build("shufflenet_v1_g4_1.0"), Unit)]
    assert first == 1
    assert set(others) == {4}


@pytest.mark.parametrize(
    ("groups", "width", "stem", "parameters"), [(3, 0.75, 18, 1_238_266), (3, 0.25, 6, 305_902), (1, 0.5, 12, 534_484)]
)
def test_shufflenet_v1_at_other_widths(groups, width, stem, parameters):
    network = ShuffleNetV1(groups, width)
    assert network.features[0][0].out_channels == stem
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_shufflenet_v1_has_five_numbers_of_groups():
    with pytest.raises(ValueError, match="1, 2, 3, 4, 8"):
        ShuffleNetV1(groups=5)


def test_squeeze_and_excitation_in_shufflenet_is_on_the_branch():
    unit = Unit(8, 24, 2, 2, first_groups=1, reduction=4).eval()
    nn.init.constant_(unit.expand[1].weight, 0.0)
    nn.init.constant_(unit.expand[1].bias, 3.0)
    x = image(1, 8, 6, 6)
    y = unit(x)
    hidden = torch.relu(unit.excite.reduce.weight[:, :, 0, 0] @ torch.full((16,), 3.0))
    gate = torch.sigmoid(unit.excite.expand.weight[:, :, 0, 0] @ hidden)
    equal(y[0, :16, 1, 1], 3 * gate)
    equal(y[:, 16:], torch.relu(nn.functional.avg_pool2d(x, 3, 2, 1)))
    assert unit.excite.reduce.bias is None


def test_igcv1_mixes_one_channel_of_each_primary_group():
    unit = InterleavedUnit(12, 12, primary=3, stride=1, activation=False).eval()
    nn.init.ones_(unit.spatial.weight)
    nn.init.ones_(unit.pointwise.weight)
    assert unit.secondary == unit.pointwise.groups == 4
    x = image(1, 12, 4, 4)
    spatial = unit.spatial(x)
    mixed = torch.stack([spatial[:, channel % 4 :: 4].sum(1) for channel in range(12)], dim=1)
    equal(unit(x), unit.norm(mixed))  # channels are back in their primary groups


def test_igcv1_reaches_every_channel_in_one_unit():
    unit = InterleavedUnit(12, 12, primary=3, stride=1, activation=False).eval()
    assert reaches(unit, 12) == [list(range(12))] * 12


def test_igcv1_activates_after_the_first_unit_and_after_the_sum():
    block = IGCV1Block(6, 12, primary=3, stride=2).eval()
    x = image(1, 6, 4, 4)
    assert [type(unit.activation) for unit in block.units] == [nn.ReLU, nn.Identity]
    equal(block(x), torch.relu(block.shortcut(x) + block.units(x)))
    assert block.shortcut[0].groups == 3
    assert isinstance(IGCV1Block(12, 12, primary=3, stride=1).shortcut, nn.Identity)


def test_igcv2_has_one_path_from_each_input_to_each_output():
    pair = SparsePointwise(8, 12).eval()
    pair.activation = nn.Identity()
    nn.init.ones_(pair.wide.weight)
    nn.init.ones_(pair.narrow.weight)
    scale = (1 + pair.norm.eps) ** -0.5
    impulses = torch.eye(8).reshape(8, 8, 1, 1)
    torch.testing.assert_close(pair(impulses), torch.full((8, 12, 1, 1), scale))


def test_igcv2_restores_the_order_of_channels():
    pair = SparsePointwise(4, 4).eval()
    nn.init.ones_(pair.wide.weight)
    with torch.no_grad():  # the second layer passes the first channel of each of its groups only
        pair.narrow.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])[:, :, None, None])
    y = pair(torch.tensor([1.0, 1.0, 10.0, 10.0]).reshape(1, 4, 1, 1)).flatten()
    equal(y, torch.tensor([2.0, 2.0, 0.0, 0.0]) * (1 + pair.norm.eps) ** -0.5)


def test_igcv2_is_marked_as_a_reconstruction_and_has_even_widths():
    assert all(models.catalog.get(name).reconstruction for name in models.list("igcv2_*"))
    with torch.device("meta"):
        assert not any(conv.out_channels % 2 for conv in of_type(IGCV2(width=0.3), nn.Conv2d))


def test_igcv3_permutes_after_the_expansion_and_is_linear_but_for_the_depthwise_layer():
    block = IGCV3Block(8, 48, 8, stride=1).eval()
    x = image(1, 8, 4, 4)
    equal(block(x), x + block.project(block.depthwise(channel_shuffle(block.expand(x), 2))))
    assert [len(layer) for layer in (block.expand, block.depthwise, block.project)] == [2, 3, 2]
    assert block.expand[0].groups == block.project[0].groups == 2


def test_igcv3_expands_in_its_first_block_and_keeps_its_head():
    with torch.device("meta"):
        network = IGCV3(width=0.35)
        wide = IGCV3(width=1.4)
    first = network.features[1]
    assert first.expand[0].in_channels == first.expand[0].out_channels == 12
    assert not first.skip
    assert network.classifier[-1].in_features == 1280
    assert wide.classifier[-1].in_features == 1792


def test_squeezenext_activates_the_shortcut_both_branches_and_the_sum():
    block = SqueezeNextBlock(8, 16, stride=2, upright=True, groups=1, project=True).eval()
    x = image(1, 8, 6, 6)
    assert [type(layer) for layer in block.shortcut] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(layer[-1]) for layer in block.layers] == [nn.ReLU] * 5
    equal(block(x), block.shortcut(x) + block.layers(x))  # both are positive already
    plain = SqueezeNextBlock(16, 16, stride=1, upright=True, groups=1, project=False).eval()
    x = image(1, 16, 6, 6)
    equal(plain(x), torch.relu(x + plain.layers(x)))


def test_squeezenext_takes_turns_with_the_kernels():
    blocks = of_type(build("squeezenext_23_1.0"), SqueezeNextBlock)
    kernels = [[layer[0].kernel_size for layer in block.layers][2:4] for block in blocks]
    assert kernels == [[(3, 1), (1, 3)], [(1, 3), (3, 1)]] * 10 + [[(3, 1), (1, 3)]]


def test_squeezenext_groups_three_of_five_convolutions():
    for block in of_type(build("squeezenext_23_g_1.0"), SqueezeNextBlock):
        assert [layer[0].groups for layer in block.layers] == [2, 1, 2, 2, 1]
        assert not of_type(block.shortcut, nn.Conv2d) or block.shortcut[0].groups == 1


def test_squeezenext_v5_shares_the_projection():
    network = build("squeezenext_23v5_1.0")
    assert all(isinstance(block.shortcut, nn.Identity) for block in of_type(network, SqueezeNextBlock))
    assert [len(of_type(layer, nn.Conv2d)) for layer in network.features].count(1) == 6  # stem, four, head


def test_squeezenext_pools_up_and_has_no_padding_or_bias_at_its_ends():
    for name in models.list("squeezenext_*"):
        network = build(name)
        (pool,) = of_type(network, nn.MaxPool2d)
        assert (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) == (3, 2, 0, True)
        assert network.features[0].padding == (0, 0)
        assert network.classifier[-1].bias is None


def test_squeezenext_at_another_width():
    with torch.device("meta"):
        network = SqueezeNext(width=1.5).eval()
    assert [conv.out_channels for conv in of_type(network, nn.Conv2d)][1:3] == [48, 24]
    assert network(torch.zeros(1, 3, 227, 227, device="meta")).shape == (1, 1000)


def test_condensenet_gathers_before_it_normalizes():
    layer = LearnedGroupConv(12, 8, groups=2, condensation=3).eval()
    nn.init.normal_(layer.norm.bias, generator=torch.Generator().manual_seed(1))
    x = image(1, 12, 3, 3)
    index = layer.gather.index
    assert index.shape == (8,)
    assert "gather.index" in layer.state_dict()
    assert [part.tolist() for part in index.reshape(2, 4)] == [
        sorted(set(part.tolist())) for part in index.reshape(2, 4)
    ]
    equal(layer(x), channel_shuffle(layer.conv(torch.relu(layer.norm(x[:, index]))), 2))


def test_condensenet_appends_the_new_features():
    layer = DenseLayer(16, 8, groups=4, condensation=4).eval()
    x = image(1, 16, 4, 4)
    y = layer(x)
    equal(y[:, :16], x)
    equal(y[:, 16:], layer.expand(layer.reduce(x)))


def test_condensenet_has_the_same_index_whatever_the_global_generator_does():
    torch.manual_seed(1)
    first = LearnedGroupConv(16, 32, 4, 4).gather.index
    torch.manual_seed(2)
    assert torch.equal(first, LearnedGroupConv(16, 32, 4, 4).gather.index)


def test_condensenet_pools_between_its_blocks_and_classifies_half_of_its_features():
    network = build("condensenet_74_c8")
    pools = of_type(network, nn.AvgPool2d)
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(2, 2)] * 4
    assert network.classifier[2].index.shape == (1032,)
