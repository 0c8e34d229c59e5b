"""MicroNet: which channels shift-max pairs, what it starts from, and the order of shuffles and gates in a block."""

import pytest
import torch
from torch import nn

import models
from models.zoo.micronet import NETWORKS, Block, MicroNet, Row, ShiftMax, Shuffle, shift


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


def kinds(block):
    """The layers of a block in short: g = grouped 1x1, d = depthwise factor, s = shuffle, 1, 2 = shift-max."""
    found = ""
    for layer in block.layers:
        if isinstance(layer, nn.Conv2d):
            found += "g" if layer.kernel_size == (1, 1) else "d"
        elif isinstance(layer, ShiftMax):
            found += str(layer.branches)
        elif isinstance(layer, Shuffle):
            found += f"s{layer.groups} "
        elif isinstance(layer, nn.ReLU6):
            found += "r"
    return found


def test_the_shift_takes_the_next_channel_of_the_next_group():
    x = noise(2, 6, 3, 5)
    torch.testing.assert_close(shift(x, 2), x[:, [4, 5, 3, 1, 2, 0]], rtol=0, atol=0)
    torch.testing.assert_close(shift(x, 3), x[:, [3, 2, 5, 4, 1, 0]], rtol=0, atol=0)
    torch.testing.assert_close(shift(x, 1), x[:, [1, 2, 3, 4, 5, 0]], rtol=0, atol=0)


def test_two_branches_are_the_larger_of_two_mixtures():
    layer = ShiftMax(6, 2, 1, 2, (1.0, 0.5, 0.0, 0.25))
    x = noise(1, 6, 3, 3)
    p = 4 * (layer.coefficients(x.mean((2, 3))).reshape(4, 6, 1, 1) - 0.5)  # a1, b1, a2, b2
    shifted = x[:, [4, 5, 3, 1, 2, 0]]
    expected = torch.maximum((1 + p[0]) * x + p[1] * shifted, (0.5 + p[2]) * x + (0.25 + p[3]) * shifted)
    torch.testing.assert_close(layer(x), expected)


def test_one_branch_has_no_maximum():
    layer = ShiftMax(4, 2, 1, 1, (1.0, 0.0, 0.0, 0.0))
    nn.init.zeros_(layer.coefficients[2].weight)
    layer.coefficients[2].bias.data = torch.tensor([3.0] * 4 + [-3.0] * 4)  # the gate saturates: a = 2, b = -2
    x = noise(1, 4, 2, 2)
    torch.testing.assert_close(layer(x), (1 + 2) * x - 2 * x[:, [3, 2, 1, 0]])


def test_an_unlearned_shift_max_is_the_larger_of_its_initial_branches():
    layer = ShiftMax(4, 2, 1, 2, NETWORKS["m3"].initial)
    for part in of_type(layer, nn.Linear):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    x = noise(1, 4, 2, 2)
    torch.testing.assert_close(layer(x), torch.maximum(x, 0.5 * (x + x[:, [3, 2, 1, 0]])))


@pytest.mark.parametrize(
    ("in_channels", "row", "order"),
    [
        (4, NETWORKS["m0"].rows[0], "ddrs4 g1s2 s4 "),
        (8, NETWORKS["m0"].rows[1], "dd2s8 s16 g1s4 s6 "),
        (16, NETWORKS["m0"].rows[3], "g2s4 dd2s16 g1s4 s16 "),
        (96, NETWORKS["m0"].rows[6], "g1"),
        (12, NETWORKS["m3"].rows[0], "dd2s12 s24 gs4 "),
        (24, NETWORKS["m3"].rows[3], "grs6 dd2s72 gs4 "),
        (144, NETWORKS["m3"].rows[11], "g"),
        (16, Row(1, 16, 3, (1, 4), (4, 4), (4, 4), (0, 0, 0), 1), "grs4 ddrgs4 "),
    ],
)
def test_order_in_a_block(in_channels, row, order):
    assert kinds(Block(in_channels, row, (1.0, 1.0, 0.0, 0.0))) == order


def test_the_second_shift_max_pairs_across_groups():
    block = Block(16, NETWORKS["m0"].rows[3], (1.0, 1.0, 0.0, 0.0))
    before, after, last = of_type(block, ShiftMax)
    assert (before.groups, after.groups, last.groups) == (4, 64 // 4, 4)


def test_stem_and_depthwise_convolutions_are_factorized_rows_first():
    with torch.device("meta"):
        network = MicroNet("m0")
    convolutions = [conv for conv in of_type(network, nn.Conv2d) if conv.kernel_size != (1, 1)]
    for first, second in zip(convolutions[::2], convolutions[1::2], strict=True):
        assert first.kernel_size == second.kernel_size[::-1]
        assert first.kernel_size[1] == first.stride[1] == second.stride[0] == 1
        assert first.padding == (first.kernel_size[0] // 2, 0)
        assert first.stride[0] == second.stride[1]
    assert next(layer.groups for layer in of_type(network, Shuffle)) == 2


def test_the_logits_are_normalized_and_pass_an_h_swish():
    with torch.device("meta"):
        network = models.create("micronet_m0")
    assert isinstance(network.classifier[-1], nn.Hardswish)
    assert isinstance(network.classifier[-2], nn.BatchNorm1d)
    assert [type(layer) for layer in network.pool] == [nn.AdaptiveAvgPool2d, nn.Hardswish, nn.Flatten]


def test_identities_stand_around_whole_blocks():
    with torch.device("meta"):
        skips = [[block.skip for block in of_type(MicroNet(size), Block)].count(True) for size in NETWORKS]
    assert skips == [0, 0, 1, 4]


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(ValueError, match="m0, m1, m2, m3"):
        MicroNet("m4")
