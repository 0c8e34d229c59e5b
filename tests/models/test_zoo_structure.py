"""What neither counts nor traces see: where signals are split, joined, reordered, gated and left linear."""

import pytest
import torch
from torch import nn

import models
from models.zoo.ghostnet import GhostBottleneck, GhostModule
from models.zoo.layers import ConvBNAct, InvertedResidual, SqueezeExcite, channel_shuffle, make_divisible
from models.zoo.mnasnet import mnasnet_a1, mnasnet_small
from models.zoo.shufflenet_v2 import BasicUnit, DownUnit, ShuffleNetV2
from models.zoo.squeezenet import Fire


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


@pytest.mark.parametrize(
    ("value", "divisor", "rounded"),
    [(3, 8, 8), (5.6, 8, 8), (11, 8, 16), (12, 8, 16), (18, 8, 24), (90, 8, 88), (1792, 8, 1792), (20, 4, 20)],
)
def test_make_divisible_never_loses_a_tenth(value, divisor, rounded):
    assert make_divisible(value, divisor) == rounded
    assert rounded >= 0.9 * value


def test_shuffle_interleaves_the_groups():
    x = torch.arange(6.0).reshape(1, 6, 1, 1).expand(2, 6, 2, 3)
    assert channel_shuffle(x, 2)[0, :, 0, 0].tolist() == [0, 3, 1, 4, 2, 5]
    assert channel_shuffle(x, 3)[1, :, 1, 2].tolist() == [0, 2, 4, 1, 3, 5]


def test_shuffle_keeps_rows_and_columns():
    x = torch.arange(24.0).reshape(1, 4, 2, 3)
    torch.testing.assert_close(channel_shuffle(x, 2), x[:, [0, 2, 1, 3]])


def test_the_basic_unit_passes_the_first_half_to_the_even_channels():
    unit = BasicUnit(8).eval()
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    y = unit(x)
    torch.testing.assert_close(y[:, 0::2], x[:, :4], rtol=0, atol=0)
    torch.testing.assert_close(y[:, 1::2], unit.branch(x[:, 4:]), rtol=0, atol=0)


def test_the_down_unit_interleaves_shortcut_and_branch():
    unit = DownUnit(6, 16).eval()
    x = torch.randn(1, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    y = unit(x)
    assert y.shape == (1, 16, 4, 4)
    torch.testing.assert_close(y[:, 0::2], unit.shortcut(x), rtol=0, atol=0)
    torch.testing.assert_close(y[:, 1::2], unit.branch(x), rtol=0, atol=0)


def test_shufflenet_v2_has_four_widths():
    with pytest.raises(ValueError, match=r"0\.5, 1\.0, 1\.5, 2\.0"):
        ShuffleNetV2(width=0.75)


def test_fire_concatenates_1x1_before_3x3():
    fire = Fire(8, 2, 3, 5)
    x = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    y = fire(x)
    squeezed = fire.squeeze(x)
    torch.testing.assert_close(y[:, :3], fire.expand1x1(squeezed), rtol=0, atol=0)
    torch.testing.assert_close(y[:, 3:], fire.expand3x3(squeezed), rtol=0, atol=0)


@pytest.mark.parametrize("channels", [8, 7])
def test_ghost_concatenates_primary_before_cheap(channels):
    ghost = GhostModule(6, channels, nn.ReLU).eval()
    x = torch.randn(1, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    y = ghost(x)
    primary = ghost.primary(x)
    assert y.shape[1] == channels
    torch.testing.assert_close(y[:, :4], primary, rtol=0, atol=0)
    torch.testing.assert_close(y[:, 4:], ghost.cheap(primary)[:, : channels - 4], rtol=0, atol=0)


def test_ghost_bottleneck_is_linear_at_its_end_and_in_its_stride():
    down = GhostBottleneck(8, 16, 12, kernel=5, se=True, stride=2)
    assert [type(layer) for layer in down.layers] == [GhostModule, ConvBNAct, SqueezeExcite, GhostModule]
    assert not of_type(down.layers[1], nn.ReLU)
    assert not of_type(down.layers[3], nn.ReLU)
    assert not of_type(down.shortcut, nn.ReLU)
    assert isinstance(GhostBottleneck(8, 16, 8, kernel=3, se=False, stride=1).shortcut, nn.Identity)


def test_pools_round_as_in_the_references():
    for name in ("squeezenet_1.0", "squeezenet_1.1"):
        pools = of_type(build(name), nn.MaxPool2d)
        assert [(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) for pool in pools] == [
            (3, 2, 0, True)
        ] * 3
    (pool,) = of_type(build("shufflenet_v2_1.0"), nn.MaxPool2d)
    assert (pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) == (3, 2, 1, False)


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0", "mobilenet_v3_large_1.0", "mnasnet_a1_1.0", "efficientnet_lite0"])
def test_bottlenecks_are_linear(name):
    blocks = of_type(build(name), InvertedResidual)
    assert blocks
    for block in blocks:
        lengths = [len(layer) for layer in block.layers if isinstance(layer, ConvBNAct)]
        assert lengths == [3] * (len(lengths) - 1) + [2]  # an activation everywhere but after the projection


def test_the_identity_is_added_after_the_projection():
    block = InvertedResidual(4, 8, 4, 3, 1, nn.ReLU6).eval()
    nn.init.zeros_(block.layers[-1][0].weight)
    x = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "identities"),
    [
        ("mobilenet_v2_1.0", 10),
        ("mobilenet_v3_large_1.0", 10),
        ("mobilenet_v3_small_1.0", 6),
        ("mnasnet_a1_1.0", 9),
        ("mnasnet_b1_1.0", 10),
        ("mnasnet_small", 10),
        ("efficientnet_lite0", 9),
    ],
)
def test_number_of_identities(name, identities):
    assert sum(block.skip for block in of_type(build(name), InvertedResidual)) == identities


def test_the_separable_block_of_mnasnet_has_no_identity_but_in_small():
    narrow = mnasnet_a1(width=0.25).features[1]  # the only widths where an identity would fit
    assert narrow.layers[0][0].in_channels == narrow.layers[-1][0].out_channels == 8
    assert not narrow.skip
    assert mnasnet_small().features[1].skip


def test_alpha_scales_everything_in_mobilenet_v1():
    network = build("mobilenet_v1_0.25")
    assert [conv.out_channels for conv in of_type(network, nn.Conv2d)][::26] == [8, 256]
    assert len(of_type(network, nn.ReLU6)) == len(of_type(network, nn.Conv2d)) == 27


@pytest.mark.parametrize(
    ("name", "gate", "reduced"),
    [
        ("mobilenet_v3_large_1.0", nn.Hardsigmoid, [24, 32, 32, 120, 168, 168, 240, 240]),
        ("mobilenet_v3_small_1.0", nn.Hardsigmoid, [8, 24, 64, 64, 32, 40, 72, 144, 144]),
        ("mnasnet_a1_1.0", nn.Sigmoid, [6, 10, 10, 20, 28, 28, 40, 40]),
        ("ghostnet_1.0", nn.Hardsigmoid, [20, 32, 120, 168, 168, 240, 240]),
    ],
)
def test_squeeze_excite_widths_and_gates(name, gate, reduced):
    blocks = of_type(build(name), SqueezeExcite)
    assert [block.reduce.out_channels for block in blocks] == reduced
    assert {type(block.gate) for block in blocks} == {gate}
    assert {type(block.activation) for block in blocks} == {nn.ReLU}


def test_squeeze_excite_gates_the_depthwise_output():
    for name in ("mobilenet_v3_large_1.0", "mnasnet_a1_1.0"):
        for block in of_type(build(name), InvertedResidual):
            places = [index for index, layer in enumerate(block.layers) if isinstance(layer, SqueezeExcite)]
            assert places in ([], [len(block.layers) - 2])
            assert block.layers[-2 - len(places)][0].groups > 1


def test_squeeze_excite_multiplies_by_one_gate_per_channel():
    block = SqueezeExcite(4, 2)
    x = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    hidden = torch.relu(block.reduce.weight[:, :, 0, 0] @ x.mean((2, 3))[0] + block.reduce.bias)
    gate = torch.sigmoid(block.expand.weight[:, :, 0, 0] @ hidden + block.expand.bias)
    torch.testing.assert_close(block(x), x * gate.reshape(1, 4, 1, 1))


@pytest.mark.parametrize("size", ["large", "small"])
def test_minimalistic_uses_plain_operators(size):
    network = build(f"mobilenet_v3_{size}_minimalistic")
    assert not of_type(network, nn.Hardswish, nn.Hardsigmoid, SqueezeExcite)
    assert {conv.kernel_size for conv in of_type(network, nn.Conv2d)} == {(1, 1), (3, 3)}
