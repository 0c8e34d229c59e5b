"""The table of layers against figures that papers print and against networks small enough to count by hand."""

import pytest
import torch
from torch import nn

import models
from models import cost
from models.facts.layers_report import DEPTHWISE, KINDS, LINEAR, POINTWISE, PRODUCT, report
from models.zoo import catalog
from models.zoo.layers import ConvBNAct, attend
from models.zoo.shufflenet_v1 import ShuffleNetV1


def described(name):
    with torch.device("meta"):
        network = models.create(name)
    return report(network, catalog.get(name).resolution)


def shares(name):
    return {share.kind: share for share in described(name).shares}


def test_a_row_says_what_a_layer_does():
    network = nn.Sequential(nn.Conv2d(3, 8, (3, 5), (2, 1), (1, 2), bias=False), nn.ReLU(), nn.Flatten())
    convolution, activation, flatten = report(network, (3, 8, 6)).layers
    assert (convolution.operator, convolution.name) == ("Conv2d", "0")
    assert (convolution.input, convolution.output) == ((3, 8, 6), (8, 4, 6))
    assert (convolution.kernel, convolution.stride, convolution.groups) == ((3, 5), (2, 1), 1)
    assert convolution.parameters == 3 * 8 * 15
    assert convolution.multiply_adds == 4 * 6 * 8 * 3 * 15
    assert convolution.memory_access == 3 * 8 * 6 + 8 * 4 * 6 + 3 * 8 * 15
    assert (activation.operator, activation.parameters, activation.multiply_adds) == ("ReLU", 0, 0)
    assert activation.kernel is activation.groups is None
    assert flatten.output == (8 * 4 * 6,)


@pytest.mark.parametrize(("c1", "c2", "size"), [(16, 64, 7), (32, 32, 14)])
def test_memory_access_of_a_1x1_convolution(c1, c2, size):
    """Ma et al. 2018, G1: hw(c1 + c2) + c1 c2; with g groups, equation 2, hw(c1 + c2) + c1 c2 / g."""
    hw = size * size
    for groups in (1, 4):
        layer = nn.Conv2d(c1, c2, 1, groups=groups)  # the bias counts as free
        assert report(layer, (c1, size, size)).memory_access == hw * (c1 + c2) + c1 * c2 // groups


def test_memory_access_is_least_for_equal_widths():
    """Ma et al. 2018, G1, Table 1: of equal products c1 c2 the ratios 1, 2, 6 and 12 rise in this order."""
    costs = [report(nn.Conv2d(c1, c2, 1), (c1, 56, 56)) for c1, c2 in ((128, 128), (90, 180), (52, 312), (36, 432))]
    accesses = [found.memory_access for found in costs]
    assert accesses == sorted(accesses)


def test_products_of_attention_have_rows_of_their_own():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(8, 24)

        def forward(self, x):
            return attend(self.qkv(x.flatten(2).transpose(1, 2)), 2)

    found = report(Attention(), (8, 2, 3))
    linear, scores, values = found.layers
    assert (linear.kind, linear.multiply_adds, linear.memory_access) == (LINEAR, 6 * 8 * 24, 6 * 32 + 8 * 24)
    assert {scores.kind, values.kind} == {PRODUCT}
    assert scores.multiply_adds == values.multiply_adds == 2 * 6 * 6 * 4
    assert scores.memory_access == 2 * (6 * 4 + 6 * 4 + 6 * 6)


@pytest.mark.parametrize(
    "name", ["shufflenet_v1_g3_1.0", "squeezenet_1.1", "espnetv2_1.0", "micronet_m1", "edgevit_xxs", "deit_tiny"]
)
def test_sums_agree_with_the_counts(name):
    with torch.device("meta"):
        network = models.create(name)
    resolution = catalog.get(name).resolution
    found = report(network, resolution)
    assert found.parameters == cost.parameters(network)
    assert found.multiply_adds == cost.multiply_adds(network, resolution)
    assert found.unused_parameters == (3130 if name == "espnetv2_1.0" else 0)
    assert [share.kind for share in found.shares] == list(KINDS)
    assert sum(share.multiply_adds for share in found.shares) == pytest.approx(1)
    assert sum(share.parameters for share in found.shares) == pytest.approx(1)
    largest = max(torch.Size(layer.output).numel() for layer in found.layers)
    assert found.peak.bytes_32 == 2 * found.peak.bytes_16 >= 4 * largest
    assert found.peak.bytes_32 >= found.between_blocks.bytes_32


def test_the_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    report(network, 8)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_shares_of_mobilenet_v1():
    """Howard et al. 2017, Table 2: 1x1 94.86 % and 74.59 %, depthwise 3.06 % and 1.06 %, 1.19 % in the first layer,
    the last layer 0.18 % and 24.33 %. Its parameters leave out batch normalization, 0.5 % of those here."""
    found = shares("mobilenet_v1_1.0")
    assert found[POINTWISE].multiply_adds == pytest.approx(0.9486, abs=2e-3)
    assert found[POINTWISE].parameters == pytest.approx(0.7459, abs=5e-3)
    assert found[DEPTHWISE].multiply_adds == pytest.approx(0.0306, abs=2e-3)
    assert found[DEPTHWISE].parameters == pytest.approx(0.0106, abs=1e-3)
    assert found[LINEAR].multiply_adds == pytest.approx(0.0018, abs=2e-4)
    assert found[LINEAR].parameters == pytest.approx(0.2433, abs=5e-3)


@pytest.mark.parametrize(("kernel", "outputs"), [(3, 64), (5, 128), (3, 512)])
def test_a_depthwise_separable_convolution_costs_one_nth_plus_one_per_kernel_area(kernel, outputs):
    """Howard et al. 2017, section 3.1: 1 / N + 1 / K^2 of a standard convolution."""
    standard = report(ConvBNAct(32, outputs, kernel), (32, 14, 14))
    separable = report(nn.Sequential(ConvBNAct(32, 32, kernel, groups=32), ConvBNAct(32, outputs)), (32, 14, 14))
    ratio = separable.multiply_adds / standard.multiply_adds
    assert ratio == pytest.approx(1 / outputs + 1 / kernel**2, rel=1e-12)


class Diamond(nn.Module):
    """The input is read again at the end, after a wide layer and a narrow one."""

    def __init__(self, again):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(4, 24, 1, bias=False), nn.Conv2d(24, 4, 1, bias=False)
        self.again = again

    def forward(self, x):
        y = self.narrow(torch.relu(self.wide(x)))
        return x + y if self.again else y


def test_the_peak_counts_what_a_later_operator_reads():
    plain, residual = report(Diamond(False), (4, 5, 5)), report(Diamond(True), (4, 5, 5))
    assert plain.peak.bytes_32 == 4 * 25 * (4 + 24)  # at either convolution; the activation works in place
    assert residual.peak.bytes_32 == 4 * 25 * (4 + 24 + 4)  # at the second one, while the input waits
    assert residual.peak.bytes_16 == 2 * 25 * (4 + 24 + 4)
    assert residual.peak.layer == "narrow"


def test_an_element_wise_operator_needs_room_where_its_input_is_read_again():
    class Gate(nn.Module):
        def forward(self, x):
            return torch.cat((x, torch.sigmoid(x)), dim=1)

    assert report(nn.Sequential(nn.Conv2d(4, 4, 1), Gate()), (4, 2, 2)).peak.bytes_32 == 4 * 4 * (4 + 4 + 8)


@pytest.mark.parametrize(
    ("name", "channels", "size", "kilobytes"),
    [
        ("mobilenet_v1_1.0", 64, 112, 1600),
        ("mobilenet_v2_1.0", 16, 112, 400),
        # The paper's 400 channels are those of two groups, twice 200; it names three, which have twice 240.
        ("shufflenet_v1_g2_2.0", 400, 28, 600),
    ],
)
def test_the_largest_tensor_between_blocks(name, channels, size, kilobytes):
    """Sandler et al. 2018, Table 3: at most 1600K, 400K and 600K of 16-bit activations, in round numbers.

    It lists one tensor per resolution, the one with most channels between two blocks; the output of the first layer
    is computed piece by piece for the block after it.
    """
    if name == "shufflenet_v1_g2_2.0":
        with torch.device("meta"):
            found = report(ShuffleNetV1(groups=2, width=2.0), 224)
    else:
        found = described(name)
    assert found.between_blocks.bytes_16 == 2 * channels * size * size
    assert found.between_blocks.bytes_16 / 1000 == pytest.approx(kilobytes, rel=0.05)


def test_largest_tensors_of_mobilenet_v1_at_each_resolution():
    """Sandler et al. 2018, Table 3, first column of networks: channels and kilobytes of 16-bit activations."""
    pointwise = [layer for layer in described("mobilenet_v1_1.0").layers if layer.kind == POINTWISE]
    largest = {}
    for layer in pointwise:
        channels, size, _ = layer.output
        largest[size] = max(largest.get(size, 0), channels)
    assert largest == {112: 64, 56: 128, 28: 256, 14: 512, 7: 1024}
    kilobytes = {size: 2 * channels * size * size / 1000 for size, channels in largest.items()}
    assert kilobytes == pytest.approx({112: 1600, 56: 800, 28: 400, 14: 200, 7: 100}, rel=0.01)
