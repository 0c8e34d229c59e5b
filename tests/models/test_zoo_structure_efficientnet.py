"""What neither counts nor traces see in EfficientNet, TinyNet, MixNet, FBNet and ChamNet."""

import pytest
import torch
from torch import nn

import models
from models.cost import multiply_adds, parameters
from models.zoo.efficientnet import EfficientNet, FusedMBConv, mbconv
from models.zoo.efficientnet_v2 import efficientnet_v2_b, round_to_eight
from models.zoo.fbnet import K5_E1_G2, SKIP, A, B, C, ChannelShuffle, Choice, SearchedBlock
from models.zoo.layers import ConvBNAct, InvertedResidual, SqueezeExcite
from models.zoo.mixnet import MixBlock, MixConv, mixnet_m, mixnet_s, parts
from models.zoo.tinynet import TinyNet
from models.zoo.variants import fbnet as tables


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def meta(factory, *arguments):
    with torch.device("meta"):
        return factory(*arguments).eval()


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


def image(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def depths(network, kind):
    """Output widths of the blocks, each with how often it follows itself."""
    found = []
    for block in of_type(network, kind):
        width = block.layers[-1][0].out_channels
        if found and found[-1][0] == width:
            found[-1][1] += 1
        else:
            found.append([width, 1])
    return [tuple(pair) for pair in found]


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0", "tinynet_a"])
def test_gates_take_a_quarter_of_the_block_input(name):
    blocks = of_type(build(name), InvertedResidual)
    assert blocks
    for block in blocks:
        gates = [index for index, layer in enumerate(block.layers) if isinstance(layer, SqueezeExcite)]
        assert gates == [len(block.layers) - 2]  # between the depthwise convolution and the projection
        gate = block.layers[gates[0]]
        assert gate.reduce.out_channels == block.layers[0][0].in_channels // 4
        assert gate.reduce.in_channels == gate.expand.out_channels == block.layers[-1][0].in_channels
        assert (type(gate.activation), type(gate.gate)) == (nn.SiLU, nn.Sigmoid)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0", "tinynet_e"])
def test_projections_are_linear_and_all_else_is_swish(name):
    network = build(name)
    assert not of_type(network, nn.ReLU, nn.ReLU6, nn.Hardswish)
    for block in of_type(network, InvertedResidual):
        assert len(block.layers[-1]) == 2
    for layer in (network.features[0], network.features[-1]):
        assert isinstance(layer[2], nn.SiLU)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_v2_b0", "mixnet_s", "nasnet_a_mobile"])
def test_inference_is_deterministic_and_has_no_side_outputs(name):
    network = models.create(name).eval()
    x = image(1, 3, 64, 64)
    with torch.no_grad():
        first, second = network(x), network(x)
    assert first.shape == (1, 1000)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_the_first_block_does_not_expand():
    assert len(mbconv(32, 1, 16, 3, 1).layers) == 3
    assert len(mbconv(16, 6, 24, 3, 2).layers) == 4


@pytest.mark.parametrize(
    ("width", "depth", "stem", "head", "stages"),
    [
        (1.0, 1.1, 32, 1280, [(16, 2), (24, 3), (40, 3), (80, 4), (112, 4), (192, 5), (320, 2)]),
        (1.2, 1.4, 40, 1536, [(24, 2), (32, 3), (48, 3), (96, 5), (136, 5), (232, 6), (384, 2)]),
        (2.0, 3.1, 64, 2560, [(32, 4), (48, 7), (80, 7), (160, 10), (224, 10), (384, 13), (640, 4)]),
        (0.5, 0.5, 16, 640, [(8, 1), (16, 1), (24, 1), (40, 2), (56, 2), (96, 2), (160, 1)]),
    ],
)
def test_compound_scaling_reaches_stem_and_head_and_rounds_depth_up(width, depth, stem, head, stages):
    network = meta(EfficientNet, width, depth)
    assert network.features[0][0].out_channels == stem
    assert network.features[-1][0].out_channels == head
    assert depths(network, InvertedResidual) == stages


def test_tinynet_keeps_stem_and_head_and_rounds_depth_to_nearest():
    network = meta(TinyNet, 0.54, 0.695)
    assert network.features[0][0].out_channels == 32
    assert network.features[-1][0].out_channels == 1280
    assert depths(network, InvertedResidual) == [(8, 1), (16, 1), (24, 1), (40, 2), (64, 2), (104, 3), (176, 1)]
    # A half goes to the even number: 2.5 layers are 2, and 0.25 of one layer still is one.
    assert depths(meta(TinyNet, 1.0, 0.5), InvertedResidual) == [
        (16, 1), (24, 1), (40, 1), (80, 2), (112, 2), (192, 2), (320, 1),
    ]  # fmt: skip
    assert len(of_type(meta(TinyNet, 1.0, 0.25), InvertedResidual)) == 7


@pytest.mark.parametrize(
    ("width", "depth", "resolution", "params", "madds"),
    [
        (1.0, 0.45, 224, 3447700, 196410208),
        (0.65, 1.0, 224, 3187560, 204578480),
        (0.38, 1.0, 224, 2004880, 98682032),
        (1.0, 1.0, 157, 5288548, 197269600),
        (1.0, 1.0, 103, 5288548, 103341712),
    ],
)
def test_one_factor_alone_shrinks_as_in_the_paper(width, depth, resolution, params, madds):
    """The comparison that TinyNet starts from: about 200M and 100M multiply-adds by one multiplier each."""
    network = meta(TinyNet, width, depth)
    assert (parameters(network), multiply_adds(network, resolution)) == (params, madds)


def test_the_second_version_rounds_widths_without_the_rule_of_a_tenth():
    assert [round_to_eight(value) for value in (3, 11.9, 12, 35.2, 38.4, 44, 52.8)] == [8, 8, 16, 32, 40, 48, 56]
    network = meta(efficientnet_v2_b, 0.7)
    assert network.features[0][0].out_channels == 24
    assert network.features[1].layers[0][0].out_channels == 8  # 11.2 loses more than a tenth


def test_fused_blocks_come_first_and_have_no_depthwise_convolution():
    network = build("efficientnet_v2_b0")
    kinds = [type(layer) for layer in network.features[1:-1]]
    assert kinds == [FusedMBConv] * 5 + [InvertedResidual] * 16
    for block in of_type(network, FusedMBConv):
        assert block.layers[0][0].kernel_size == (3, 3)
        assert {conv.groups for conv in of_type(block, nn.Conv2d)} == {1}


def test_a_fused_block_is_linear_at_its_end_only_with_an_expansion():
    plain, wide = FusedMBConv(8, 1, 8, 3, 1).eval(), FusedMBConv(8, 4, 8, 3, 1).eval()
    assert [len(layer) for layer in plain.layers] == [3]
    assert [len(layer) for layer in wide.layers] == [3, 2]
    x = image(1, 8, 5, 5)
    for block in (plain, wide):
        torch.testing.assert_close(block(x), x + block.layers(x), rtol=0, atol=0)
    assert not FusedMBConv(8, 4, 8, 3, 2).skip
    assert not FusedMBConv(8, 4, 16, 3, 1).skip


def test_parts_are_equal_and_the_first_takes_the_rest():
    assert parts(12, 3) == [4, 4, 4]
    assert parts(14, 4) == [5, 3, 3, 3]
    assert parts(7, 1) == [7]


def test_mixconv_keeps_the_order_of_channels_and_kernels():
    layer = MixConv(8, 8, (3, 5, 7), depthwise=True)
    assert [(conv.kernel_size, conv.groups, conv.padding) for conv in layer.convolutions] == [
        ((3, 3), 4, (1, 1)),
        ((5, 5), 2, (2, 2)),
        ((7, 7), 2, (3, 3)),
    ]
    x = image(1, 8, 9, 9)
    y = layer(x)
    for start, stop, conv in zip((0, 4, 6), (4, 6, 8), layer.convolutions, strict=True):
        torch.testing.assert_close(y[:, start:stop], conv(x[:, start:stop]), rtol=0, atol=0)


def test_a_split_1x1_convolution_reads_each_half_once():
    layer = MixConv(6, 10, (1, 1))
    x = image(1, 6, 4, 4)
    expected = torch.cat((layer.convolutions[0](x[:, :3]), layer.convolutions[1](x[:, 3:])), dim=1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)


def test_mixnet_gates_and_activations():
    network = build("mixnet_s")
    gates = of_type(network, SqueezeExcite)
    assert [gate.reduce.out_channels for gate in gates] == [12, 20, 20, 20, 10, 20, 20, 40, 60, 60, 60, 100, 100]
    assert {(type(gate.activation), type(gate.gate)) for gate in gates} == {(nn.SiLU, nn.Sigmoid)}
    blocks = of_type(network, MixBlock)
    assert [type(block.layers[2]) for block in blocks] == [nn.ReLU] * 2 + [nn.SiLU] * (len(blocks) - 2)
    assert all(isinstance(block.layers[-1], nn.BatchNorm2d) for block in blocks)  # the projection is linear
    assert isinstance(network.features[1], InvertedResidual)
    assert network.features[1].skip


def test_mixnet_width_scales_all_but_the_head():
    large, narrow = meta(mixnet_m, 1.3), meta(mixnet_s, 0.5)
    assert [large.features[0][0].out_channels, large.features[-1][0].out_channels] == [32, 1536]
    assert list(dict.fromkeys(block.layers[-1].num_features for block in of_type(large, MixBlock))) == [
        40, 56, 104, 160, 264,
    ]  # fmt: skip
    assert [narrow.features[0][0].out_channels, narrow.features[-1][0].out_channels] == [8, 1536]
    assert narrow(torch.zeros(1, 3, 96, 96, device="meta")).shape == (1, 1000)


def test_fbnet_adds_identities_after_a_linear_projection():
    block = SearchedBlock(8, 8, Choice(3, 3), 1).eval()
    x = image(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x + block.layers(x), rtol=0, atol=0)
    assert [len(layer) for layer in block.layers] == [3, 3, 2]
    assert not SearchedBlock(8, 8, Choice(3, 3), 2).skip
    assert not SearchedBlock(8, 16, Choice(3, 3), 1).skip


def test_grouped_blocks_shuffle_their_input_once():
    block = SearchedBlock(8, 8, K5_E1_G2, 1)
    assert [type(layer) for layer in block.layers] == [ChannelShuffle, ConvBNAct, ConvBNAct]
    assert block.layers[2][0].groups == 2
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert block.layers[0](x).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert len(of_type(build("fbnet_a"), ChannelShuffle)) == 3
    assert not of_type(build("fbnet_b"), ChannelShuffle)


def test_a_skipped_layer_of_fbnet_leaves_nothing_behind():
    for name, stages in (("fbnet_a", A), ("fbnet_b", B), ("fbnet_c", C)):
        chosen = sum(choice is not SKIP for _, _, choices in stages for choice in choices)
        assert len(of_type(build(name), SearchedBlock)) == chosen


def test_every_convolution_of_fbnet_has_a_bias():
    assert all(conv.bias is not None for conv in of_type(build("fbnet_c"), nn.Conv2d))


def test_chamnet_is_plain_inverted_residuals_and_says_what_it_is():
    for name, kernels in (("cham_v1a", {3, 5, 7}), ("cham_v2", {3, 5, 7})):
        network = build(name)
        assert not of_type(network, SqueezeExcite)
        assert {conv.kernel_size[0] for conv in of_type(network, nn.Conv2d) if conv.groups > 1} == kernels
        assert network.features[-1][0].out_channels == 1280
    assert {variant.name for variant in tables.VARIANTS if variant.reconstruction} == {"cham_v1a", "cham_v2"}
