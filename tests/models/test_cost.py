"""Counting, on networks small enough to count by hand."""

import pytest
import torch
from torch import nn

from models.cost import multiply_adds, parameters


def test_a_convolution_and_a_linear_layer_are_counted_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 10))
    assert parameters(net) == (3 * 8 * 9 + 8) + 2 * 8 + (128 * 10 + 10)
    assert multiply_adds(net, (3, 8, 8)) == 8 * 4 * 4 * 3 * 9 + 128 * 10


def test_groups_divide_the_multiply_adds():
    net = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    assert parameters(net) == 8 * 9
    assert multiply_adds(net, (8, 5, 5)) == 8 * 9 * 25


def test_a_single_number_is_a_square_rgb_image():
    net = nn.Conv2d(3, 4, 1)
    assert multiply_adds(net, 6) == multiply_adds(net, (3, 6, 6)) == 3 * 4 * 36


def test_counting_leaves_the_module_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    multiply_adds(net, 4)
    assert net.training
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_meta_device_is_enough():
    with torch.device("meta"):
        net = nn.Conv2d(3, 4, 1)
    assert multiply_adds(net, 6) == 432


class Attention(nn.Module):
    """PyTorch's attention over the pixels of an image, by its own layer or its fused function."""

    def __init__(self, layer):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True) if layer else nn.Linear(8, 8)
        self.by_layer = layer

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        if self.by_layer:
            return self.layer(x, x, x, need_weights=False)[0]
        return nn.functional.scaled_dot_product_attention(*[self.layer(x)[:, None]] * 3)


def test_fused_attention_is_counted():
    products = 2 * 25 * 25 * 8
    assert multiply_adds(Attention(layer=False), (8, 5, 5)) == 25 * 8 * 8 + products
    assert multiply_adds(Attention(layer=True), (8, 5, 5)) == 4 * 25 * 8 * 8 + products


def test_an_input_size_with_a_batch_is_refused():
    with pytest.raises(ValueError, match="channels, height, width"):
        multiply_adds(nn.Conv2d(3, 4, 1), (1, 3, 6, 6))
