"""MobileViT and EdgeViT: unfolding, attention, normalizations, and what is added where."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import models
from models.zoo import catalog
from models.zoo.edgevit import EdgeViT, LocalAggregation, LocalGlobalLocal, PatchEmbedding, SparseAttention, Spread
from models.zoo.layers import attend
from models.zoo.mobilevit import MobileViTBlock, TransformerLayer, fold, unfold


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def of_type(network, *types):
    return [layer for layer in network.modules() if isinstance(layer, types)]


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def test_attention_is_scaled_by_the_width_of_a_head():
    qkv = noise(2, 5, 24)
    q, k, v = (part.reshape(2, 5, 2, 4).transpose(1, 2) for part in qkv.split(8, dim=2))
    expected = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attend(qkv, 2), expected)


def test_unfolding_gathers_equal_positions_of_all_patches():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    y = unfold(x)
    assert y.shape == (4, 6, 1)
    assert y[0, :, 0].tolist() == [0, 2, 4, 12, 14, 16]  # upper left pixel of every patch
    assert y[1, :, 0].tolist() == [1, 3, 5, 13, 15, 17]
    assert y[2, :, 0].tolist() == [6, 8, 10, 18, 20, 22]


def test_folding_undoes_unfolding():
    x = noise(2, 3, 4, 6)
    y = unfold(x)
    assert y.shape == (8, 6, 3)
    torch.testing.assert_close(fold(y, 2, 3), x, rtol=0, atol=0)
    torch.testing.assert_close(y[4 + 3, 5], x[1, :, 3, 5])  # second image, lower right pixel, last patch


def test_a_pixel_attends_to_its_own_position_only():
    block = MobileViTBlock(4, 8, 1).eval()
    x = noise(1, 8, 4, 4).requires_grad_()
    y = fold(block.transformers(unfold(x)), 2, 2)
    (gradient,) = torch.autograd.grad(y[0, 0, 0, 0], x)
    reached = gradient[0].abs().sum(0) > 0
    assert reached.nonzero().tolist() == [[0, 0], [0, 2], [2, 0], [2, 2]]


def test_the_block_fuses_input_and_projection_in_this_order():
    block = MobileViTBlock(4, 8, 1).eval()
    x = noise(1, 4, 6, 4)
    y = block.project(fold(block.transformers(unfold(block.local(x))), 3, 2))
    torch.testing.assert_close(block(x), block.fuse(torch.cat((x, y), dim=1)))


def test_odd_maps_are_stretched_to_whole_patches_and_back():
    block = MobileViTBlock(4, 8, 1).eval()
    block.transformers = nn.Identity()
    x = noise(1, 4, 5, 3)
    stretched = functional.interpolate(block.local(x), (6, 4), mode="bilinear", align_corners=False)
    y = block.project(functional.interpolate(stretched, (5, 3), mode="bilinear", align_corners=False))
    torch.testing.assert_close(block(x), block.fuse(torch.cat((x, y), dim=1)))


def test_transformer_layers_normalize_before():
    layer = TransformerLayer(8)
    x = noise(1, 6, 8)
    y = x + layer.project(attend(layer.qkv(layer.norm1(x)), 4))
    torch.testing.assert_close(layer(x), y + layer.feed_forward(layer.norm2(y)))
    assert [type(part) for part in layer.feed_forward] == [nn.Linear, nn.SiLU, nn.Linear]


def test_mobilevit_takes_blue_green_red_without_normalization():
    preprocessing = catalog.get("mobilevit_xs").preprocessing
    assert preprocessing.channel_order == "BGR"
    assert (preprocessing.mean, preprocessing.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert (preprocessing.resize, preprocessing.crop, preprocessing.interpolation) == (288, 256, "bicubic")
    assert catalog.get("edgevit_xs").preprocessing.channel_order == "RGB"


def test_eps_of_the_normalizations():
    assert {norm.eps for norm in of_type(build("mobilevit_xxs"), nn.LayerNorm)} == {1e-5}
    network = build("edgevit_xxs")
    for block in of_type(network, LocalGlobalLocal):
        assert block.norm1.eps == block.norm2.eps == 1e-6
    inner = [part.norm for part in of_type(network, PatchEmbedding, SparseAttention) if hasattr(part, "norm")]
    assert [norm.eps for norm in inner] == [1e-5] * (4 + 5)


def test_local_aggregation_adds_three_times():
    block = LocalAggregation(4).eval()
    x = noise(1, 4, 5, 5)
    y = x + block.position(x)
    y = y + block.aggregate(y)
    torch.testing.assert_close(block(x), y + block.feed_forward(y))
    kinds = [type(part) for part in block.aggregate]
    assert kinds == [nn.BatchNorm2d, nn.Conv2d, nn.Conv2d, nn.Conv2d]  # linear between its convolutions
    assert block.aggregate[2].kernel_size == (5, 5)


def test_tokens_are_local_then_global_then_local():
    block = LocalGlobalLocal(8, 4, 2).eval()
    x = noise(1, 8, 4, 6)
    y = block.local(x)
    y = y + block.position(y)
    tokens = y.flatten(2).transpose(1, 2)
    sampled = block.norm1(tokens).transpose(1, 2).reshape(1, 8, 4, 6)[:, :, ::2, ::2]
    attended = attend(block.attention.qkv(sampled.flatten(2).transpose(1, 2)), 2)
    spread = block.attention.propagate(attended.transpose(1, 2).reshape(1, 8, 2, 3))
    tokens = tokens + block.attention.project(block.attention.norm(spread.flatten(2).transpose(1, 2)))
    tokens = tokens + block.feed_forward(block.norm2(tokens))
    torch.testing.assert_close(block(x), tokens.transpose(1, 2).reshape(1, 8, 4, 6))


@pytest.mark.parametrize("patch", [2, 4])
def test_spreading_is_a_transposed_convolution(patch):
    layer = Spread(5, patch)
    x = noise(2, 5, 3, 4)
    expected = functional.conv_transpose2d(x, layer.weight, layer.bias, stride=patch, groups=5)
    torch.testing.assert_close(layer(x), expected)


def test_the_last_stage_attends_everywhere_without_aggregation():
    blocks = of_type(build("edgevit_xxs"), LocalGlobalLocal)
    assert [block.attention.sampling for block in blocks] == [4, 2, 2, 2, 2, 1, 1]
    assert [isinstance(block.local, LocalAggregation) for block in blocks] == [True] * 5 + [False] * 2
    assert [block.attention.heads for block in blocks] == [1, 2, 4, 4, 4, 8, 8]
    assert not of_type(blocks[-1], nn.ConvTranspose2d, nn.AvgPool2d)


@pytest.mark.parametrize(("name", "resolution"), [("edgevit_xxs", 232), ("edgevit_xs", 100), ("mobilevit_xs", 208)])
def test_resolutions_that_do_not_divide_evenly(name, resolution):
    assert build(name)(torch.zeros(2, 3, resolution, resolution, device="meta")).shape == (2, 1000)


def test_unknown_sizes_name_the_known_ones():
    with pytest.raises(ValueError, match="xxs, xs, s"):
        EdgeViT("m")
