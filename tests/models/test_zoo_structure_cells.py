"""What neither counts nor traces see in the networks of searched cells."""

import pytest
import torch
from torch import nn

import models
from models.cost import multiply_adds, parameters
from models.zoo import amoebanet, nasnet, pnasnet
from models.zoo.amoebanet import amoebanet_a
from models.zoo.cells import (
    Cell,
    CellTable,
    FactorizedReduction,
    HalvingAverage,
    ReluConvBN,
    Separable,
    operation,
)
from models.zoo.pnasnet import pnasnet5

NAMES = ("nasnet_a_mobile", "pnasnet5_mobile", "amoebanet_a_n4_f50", "amoebanet_c_n4_f44")
TABLES = (
    nasnet.NORMAL,
    nasnet.REDUCTION,
    pnasnet.CELL,
    amoebanet.A_NORMAL,
    amoebanet.A_REDUCTION,
    amoebanet.C_NORMAL,
    amoebanet.C_REDUCTION,
)


def build(name):
    with torch.device("meta"):
        return models.create(name).eval()


def image(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_separable_convolution_runs_twice_and_each_starts_with_a_relu():
    layer = Separable(6, 8, 5, 2)
    assert [type(part) for part in layer] == [nn.ReLU, nn.Conv2d, nn.Conv2d, nn.BatchNorm2d] * 2
    assert [(conv.kernel_size[0], conv.stride[0], conv.groups, conv.in_channels) for conv in layer if
            isinstance(conv, nn.Conv2d)] == [(5, 2, 6, 6), (1, 1, 1, 6), (5, 1, 8, 8), (1, 1, 1, 8)]  # fmt: skip


@pytest.mark.parametrize("size", [6, 7])
def test_the_factorized_reduction_reads_even_and_odd_pixels(size):
    layer = FactorizedReduction(1, 3).eval()
    assert (layer.even.out_channels, layer.odd.out_channels) == (1, 2)
    nn.init.ones_(layer.even.weight)
    nn.init.ones_(layer.odd.weight)
    layer.norm.eps = 0.0
    x = image(1, 1, size, size)
    y = layer(x)
    half = (size + 1) // 2
    odd = torch.zeros(half, half)
    odd[: size // 2, : size // 2] = x[0, 0, 1::2, 1::2]
    torch.testing.assert_close(y[0, 0], x[0, 0, ::2, ::2])
    torch.testing.assert_close(y[0, 1], odd)
    torch.testing.assert_close(y[0, 2], odd)


def test_an_average_does_not_count_its_padding():
    pool = operation("avg3", 4, 4, 1)
    assert len(pool) == 1
    torch.testing.assert_close(pool(torch.ones(1, 4, 5, 5)), torch.ones(1, 4, 5, 5))


@pytest.mark.parametrize("size", [(1, 2), (3, 4), (7, 8)])
def test_nor_does_an_average_of_stride_two(size):
    x = image(1, 2, *size)
    expected = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(HalvingAverage()(x), expected)
    assert isinstance(operation("avg3", 4, 4, 2)[0], HalvingAverage)


def test_operations_match_widths_and_strides():
    assert isinstance(operation("none", 4, 4, 1), nn.Identity)
    assert isinstance(operation("none", 4, 4, 2), ReluConvBN)
    assert isinstance(operation("none", 4, 6, 1), ReluConvBN)
    assert [type(part) for part in operation("max3", 4, 6, 2)] == [nn.MaxPool2d, nn.Conv2d, nn.BatchNorm2d]
    factored = operation("1x7_7x1", 8, 8, 2)
    convolutions = [part[1] for part in factored]
    assert [conv.kernel_size for conv in convolutions] == [(1, 1), (1, 7), (7, 1), (1, 1)]
    assert [conv.stride for conv in convolutions] == [(1, 1), (1, 2), (2, 1), (1, 1)]
    assert [conv.out_channels for conv in convolutions] == [2, 2, 2, 8]
    x = image(1, 4, 7, 7)
    for name in ("sep3", "sep5", "sep7", "avg3", "max3", "none", "1x7_7x1"):
        assert operation(name, 4, 8, 2).eval()(x).shape == (1, 8, 4, 4)
        assert operation(name, 4, 4, 1).eval()(x).shape == (1, 4, 7, 7)


def test_a_cell_concatenates_the_joined_states_in_order():
    table = CellTable(pairs=(("max3", 0, "none", 1), ("none", 2, "avg3", 0)), joined=(1, 3))
    cell = Cell(table, in_channels=6, previous_channels=4, channels=4, stride=1, previous_larger=False).eval()
    assert isinstance(cell.previous, nn.Identity)
    current, previous = image(1, 6, 5, 5), image(1, 4, 5, 5)
    state = cell.current(current)
    third = nn.functional.max_pool2d(state, 3, 1, 1) + previous
    last = third + nn.functional.avg_pool2d(state, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(cell(current, previous), torch.cat((previous, last), dim=1))


def test_a_joined_input_is_reduced_with_the_rest():
    table = CellTable(pairs=(("max3", 0, "max3", 1),), joined=(0, 2))
    cell = Cell(table, in_channels=6, previous_channels=4, channels=4, stride=2, previous_larger=False).eval()
    assert [type(match) for match in cell.matched] == [FactorizedReduction, nn.Identity]
    current, previous = image(1, 6, 7, 7), image(1, 4, 7, 7)
    y = cell(current, previous)
    assert y.shape == (1, 8, 4, 4)
    torch.testing.assert_close(y[:, :4], cell.matched[0](cell.current(current)), rtol=0, atol=0)


def test_the_older_input_is_reduced_after_a_relu_where_it_is_larger():
    cell = Cell(nasnet.NORMAL, 6, 5, 4, stride=1, previous_larger=True)
    assert [type(layer) for layer in cell.previous] == [nn.ReLU, FactorizedReduction]
    first = Cell(nasnet.REDUCTION, 6, None, 4, stride=2, previous_larger=False).eval()
    assert isinstance(first.previous, nn.Identity)
    assert first(image(1, 6, 7, 7), None).shape == (1, 16, 4, 4)


@pytest.mark.parametrize("table", TABLES)
def test_no_state_of_a_published_cell_is_lost(table):
    assert len(table.pairs) == 5
    read = {state for _, left, _, right in table.pairs for state in (left, right)}
    assert read | set(table.joined) == set(range(7))
    assert all(max(left, right) < index + 2 for index, (_, left, _, right) in enumerate(table.pairs))
    assert list(table.joined) == sorted(table.joined)


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("nasnet_a_mobile", [44, 88] + [264] * 4 + [352] + [528] * 4 + [704] + [1056] * 4),
        ("pnasnet5_mobile", [65, 135] + [270] * 3 + [540] * 3 + [1080] * 3),
        ("amoebanet_a_n4_f50", [60, 125] + [200] * 4 + [500] + [400] * 4 + [1000] + [800] * 4),
    ],
)
def test_cells_follow_the_published_plan(name, widths):
    network = build(name)
    sizes = []
    for cell in network.cells:
        cell.register_forward_hook(lambda layer, inputs, output: sizes.append(output.shape[-1]))
    network(torch.zeros(1, 3, 224, 224, device="meta"))
    assert [cell.out_channels for cell in network.cells] == widths
    assert sorted(set(sizes), reverse=True) == [56, 28, 14, 7]
    assert sizes == sorted(sizes, reverse=True)
    assert network.stem[0].padding == (0, 0)
    assert not any(isinstance(layer, nn.ReLU) for layer in network.stem)


def test_the_features_are_rectified_before_the_average():
    network = models.create("nasnet_a_mobile").eval()
    seen = []
    network.classifier.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        network(image(1, 3, 64, 64))
    assert seen[0].min() == 0


@pytest.mark.parametrize("name", NAMES)
def test_only_the_classifier_has_a_bias_and_nothing_is_auxiliary(name):
    network = build(name)
    assert [type(child) for child in network.children()] == [
        nn.Sequential,
        nn.ModuleList,
        type(network.classifier),
    ]
    assert all(layer.bias is None for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert sum(isinstance(layer, nn.Linear) for layer in network.modules()) == 1


def test_the_rules_carry_to_the_large_networks():
    with torch.device("meta"):
        pnasnet_large, amoebanet_large = pnasnet5(12, 216, 96), amoebanet_a(18, 190)
    assert (parameters(pnasnet_large), multiply_adds(pnasnet_large, 331)) == (86057668, 24937395792)
    assert (parameters(amoebanet_large), multiply_adds(amoebanet_large, 331)) == (86718797, 23133663507)
