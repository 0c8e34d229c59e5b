"""Joins, gates, pools and constants of the larger networks that counts and traces do not see."""

import pytest
import torch
from torch import nn

import models
from models.zoo import alexnet, googlenet, inception_v3
from models.zoo.deit import Attention, DeiT
from models.zoo.layers import ConvBNAct, SqueezeExcite
from models.zoo.resnet import Bottleneck
from models.zoo.senet import se_mobilenet_v1
from models.zoo.xception import Block as XceptionBlock


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def image(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


def equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride_first", "strides"), [(False, [1, 2, 1]), (True, [2, 1, 1])])
def test_a_bottleneck_is_linear_before_its_sum(stride_first, strides):
    block = Bottleneck(8, 4, 2, stride_first, reduction=None).eval()
    x = image(1, 8, 6, 6)
    assert [layer[0].stride[0] for layer in block.layers] == strides
    assert [len(layer) for layer in block.layers] == [3, 3, 2]
    equal(block(x), torch.relu(block.layers(x) + block.shortcut(x)))
    assert len(block.shortcut) == 2


def test_squeeze_and_excitation_is_before_the_sum_in_resnet():
    block = Bottleneck(8, 4, 2, stride_first=True, reduction=4).eval()
    x = image(1, 8, 6, 6)
    equal(block(x), torch.relu(block.excite(block.layers(x)) + block.shortcut(x)))
    blocks = of_type(build("se_resnet50"), Bottleneck)
    assert sorted({block.excite.reduce.out_channels for block in blocks}) == [16, 32, 64, 128]
    assert all(block.excite.reduce.bias is not None for block in blocks)


def test_squeeze_and_excitation_is_after_each_unit_of_mobilenet():
    network = build("se_mobilenet_v1")
    kinds = [type(layer) for layer in network.features]
    assert kinds == [ConvBNAct] + [ConvBNAct, ConvBNAct, SqueezeExcite] * 13
    assert [block.reduce.out_channels for block in of_type(network, SqueezeExcite)] == [
        4, 8, 8, 16, 16, 32, 32, 32, 32, 32, 32, 64, 64
    ]  # fmt: skip
    with torch.device("meta"):
        narrow = se_mobilenet_v1(width=0.25).eval()
    assert narrow(torch.zeros(1, 3, 64, 64, device="meta")).shape == (1, 1000)


def test_reconstructions_are_marked():
    assert [name for name in models.list("se_*") if models.catalog.get(name).reconstruction] == [
        "se_mobilenet_v1",
        "se_shufflenet_v1_g3",
    ]


@pytest.mark.parametrize(
    ("name", "pools"),
    [
        ("resnet50", [(3, 2, 1, False)]),
        ("se_resnet50", [(3, 2, 0, True)]),
        ("alexnet", [(3, 2, 0, False)] * 3),
        ("alexnet_2012", [(3, 2, 0, False)] * 3),
        ("vgg16", [(2, 2, 0, False)] * 5),
        ("xception", [(3, 2, 1, False)] * 4),
        ("googlenet", [(3, 2, 0, True)] * 2 + [(3, 1, 1, False)] * 2 + [(3, 2, 0, True)] + [(3, 1, 1, False)] * 5
         + [(2, 2, 0, True)] + [(3, 1, 1, False)] * 2),
        ("inception_v3", [(3, 2, 0, False)] * 4),
    ],
)  # fmt: skip
def test_max_pools(name, pools):
    found = of_type(build(name), nn.MaxPool2d)
    assert [(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) for pool in found] == pools


@pytest.mark.parametrize(
    ("name", "eps"),
    [
        ("googlenet", 1e-3),
        ("inception_v3", 1e-3),
        ("efficientnet_v2_b0", 1e-3),
        ("nasnet_a_mobile", 1e-3),
        ("amoebanet_c_n4_f44", 1e-3),
        ("igcv1_l100m2", 2e-5),
        ("efficientnet_b0", 1e-5),
        ("xception", 1e-5),
    ],
)
def test_normalization_eps(name, eps):
    assert {norm.eps for norm in of_type(build(name), nn.BatchNorm2d)} == {eps}


def test_xception_activates_before_its_convolutions():
    block = XceptionBlock(6, (8, 8), 2, activate_first=True).eval()
    x = image(1, 6, 7, 7)
    assert [type(layer).__name__ for layer in block.layers] == [
        "ReLU", "SeparableConv", "ReLU", "SeparableConv", "MaxPool2d"
    ]  # fmt: skip
    equal(block(x), block.layers(x) + block.shortcut(x))  # no activation after the sum
    first = of_type(build("xception"), XceptionBlock)[0]
    assert type(first.layers[0]).__name__ == "SeparableConv"
    assert isinstance(of_type(build("xception"), XceptionBlock)[4].shortcut, nn.Identity)


def test_inception_modules_keep_the_order_of_their_branches():
    module = googlenet.Inception(6, (2, 3, 4, 3, 5, 6)).eval()
    x = image(1, 6, 5, 5)
    equal(module(x).split((2, 4, 5, 6), dim=1)[2], module.branches[2](x))
    network = build("inception_v3")
    modules = [layer for layer in network.features if isinstance(layer, inception_v3.Parallel)]
    assert len(modules) == 11
    assert isinstance(modules[3].branches[-1], nn.MaxPool2d)
    assert [pool.count_include_pad for pool in of_type(network, nn.AvgPool2d)] == [True] * 9
    crossed = modules[-1].branches[1][1]
    assert [branch[0].kernel_size for branch in crossed.branches] == [(1, 3), (3, 1)]


def test_alexnet_2012_normalizes_responses_as_the_paper_says():
    network = build("alexnet_2012")
    assert [type(layer).__name__ for layer in network.features[:4]] == [
        "Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"
    ]  # fmt: skip
    assert len(of_type(network, nn.LocalResponseNorm)) == 2
    x = torch.ones(1, 7, 1, 1)
    y = alexnet._response_norm()(x).flatten()
    equal(y[3], torch.tensor((2 + 1e-4 * 5) ** -0.75))


def test_attention_weighs_the_values():
    attention = Attention(6, 2).eval()
    x = image(1, 4, 6)
    query, key, value = attention.qkv(x)[0].split(6, dim=-1)
    heads = [
        torch.softmax(query[:, part] @ key[:, part].T / 3**0.5, dim=-1) @ value[:, part]
        for part in (slice(0, 3), slice(3, 6))
    ]
    equal(attention(x)[0], attention.project(torch.cat(heads, dim=-1)))


def test_deit_classifies_its_first_token():
    network = DeiT(dim=12, layers=1, heads=3, num_classes=5).eval()
    x = image(1, 3, 224, 224)
    nn.init.normal_(network.positions, generator=torch.Generator().manual_seed(1))
    patches = network.patches(x).flatten(2).transpose(1, 2)
    tokens = network.blocks(torch.cat((network.token, patches), dim=1) + network.positions)
    equal(network(x), network.classifier(network.norm(tokens[:, 0])))
    assert {norm.eps for norm in of_type(network, nn.LayerNorm)} == {1e-6}
    assert of_type(network, nn.GELU)[0].approximate == "none"


def test_deit_interpolates_its_positions():
    network = DeiT(dim=12, layers=1, heads=3)
    nn.init.constant_(network.positions, 2.0)
    positions = network._positions(6, 10)
    equal(positions, torch.full((1, 61, 12), 2.0))
    assert network._positions(14, 14) is network.positions
