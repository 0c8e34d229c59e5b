"""The networks against independent records: counts and, layer by layer, traces of public implementations.

`data/zoo_counts.csv` has parameters and multiply-adds counted in other implementations of the same networks: those of
convolutions and linear layers in `madds`, those of the products of queries, keys and values in `attention`. Those of
DeepLab on MobileNetV2 are of transformers' network; on Xception, of timm's backbone and a head counted by hand.
`data/zoo_traces.txt` has the layers executed by public implementations: a convolution as
"conv in>out kernel stride groups bias output-size" (a linear layer is a 1x1 one), normalizations and activations.
The output size is that of the last axis of an image and 1 for features; a kernel or stride that is not square is
written k3x1. A trace without any normalization or without any activation is of an implementation that does not show
them.
"""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import models
from models.cost import multiply_adds, parameters
from models.errors import ModelError
from models.zoo import catalog
from models.zoo.shufflenet_v1 import ShuffleNetV1

DATA = Path(__file__).parent / "data"
with (DATA / "zoo_counts.csv").open(newline="") as file:
    COUNTS = list(csv.DictReader(file))
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.GELU, nn.PReLU)


def build(name, **arguments):
    """The network without storage: shapes alone are needed to count and to trace."""
    with torch.device("meta"):
        return models.create(name, **arguments).eval()


def traces():
    found = {}
    for line in (DATA / "zoo_traces.txt").read_text().splitlines():
        if line.startswith("# "):
            found[line[2:]] = current = []
        else:
            current.append(line)
    return found


def side(pair):
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def kind(line):
    first = line.split()[0]
    return first if first in ("conv", "bn", "ln") else "activation"


def executed(network, resolution):
    """The layers of `network` in the order in which they run."""
    lines = []

    def record(layer, inputs, output):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            kind = "conv" if isinstance(layer, nn.Conv2d) else "convT"
            geometry = f"k{side(layer.kernel_size)} s{side(layer.stride)} g{layer.groups}"
            bias = int(layer.bias is not None)
            lines.append(f"{kind} {layer.in_channels}>{layer.out_channels} {geometry} b{bias} {output.shape[-1]}")
        elif isinstance(layer, nn.Linear):
            lines.append(f"conv {layer.in_features}>{layer.out_features} k1 s1 g1 b{int(layer.bias is not None)} 1")
        elif isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            lines.append(f"bn {layer.num_features}")
        elif isinstance(layer, nn.LayerNorm):
            lines.append(f"ln {layer.normalized_shape[0]}")
        elif isinstance(layer, ACTIVATIONS):
            lines.append(type(layer).__name__)

    for layer in network.modules():
        layer.register_forward_hook(record)
    with torch.no_grad():
        network(torch.zeros(1, 3, resolution, resolution, device="meta"))
    return lines


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: row["name"])
def test_counts(row):
    resolution = int(row["resolution"])
    assert catalog.get(row["name"]).resolution == resolution
    network = build(row["name"])
    assert parameters(network) == int(row["params"])
    attention = int(row["attention"] or 0)
    assert multiply_adds(network, resolution) == pytest.approx(int(row["madds"]) + attention, rel=1e-3)


@pytest.mark.parametrize("row", [row for row in COUNTS if row["attention"]], ids=lambda row: row["name"])
def test_attention_is_counted_apart_from_convolutions_and_linear_layers(row):
    resolution = int(row["resolution"])
    network = build(row["name"])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, resolution, resolution, device="meta"))
    counted = {str(operator): flops // 2 for operator, flops in counter.get_flop_counts()["Global"].items()}
    assert counted.pop("aten.bmm") == int(row["attention"])
    assert sum(counted.values()) == int(row["madds"])


def test_every_variant_is_counted():
    assert {row["name"].partition("@")[0] for row in COUNTS} == set(catalog.names())


@pytest.mark.parametrize("name", traces())
def test_layers_run_as_in_the_reference(name):
    reference = traces()[name]
    shown = {kind(line) for line in reference}
    lines = executed(build(name), catalog.get(name).resolution)
    assert [line for line in lines if kind(line) in shown] == reference


@pytest.mark.parametrize("name", [variant.name for variant in catalog.VARIANTS if variant.default])
def test_classes_and_channels_can_be_chosen(name):
    network = build(name, num_classes=10, in_chans=1)
    resolution = catalog.get(name).resolution
    assert network(torch.zeros(2, 1, resolution, resolution, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("name", [variant.name for variant in catalog.VARIANTS if variant.default])
def test_small_images_pass(name):
    assert build(name)(torch.zeros(1, 3, 32, 32, device="meta")).shape == (1, 1000)


# Counted in torchvision (mobilenet_v2, mnasnet_b1), timm (mobilenet_v3, mnasnet_a1, ghostnet) and pytorchcv.
WIDTHS = (
    ("mobilenet_v1_0.35", 765_881),
    ("mobilenet_v1_0.6", 1_783_497),
    ("mobilenet_v2_0.6", 2_217_000),
    ("mobilenet_v2_0.9", 3_141_800),
    ("mobilenet_v2_1.8", 9_361_448),
    ("mobilenet_v3_large_0.6", 3_097_016),
    ("mobilenet_v3_small_1.25", 3_205_384),
    ("shufflenet_v1_g1_0.25", 209_746),
    ("shufflenet_v1_g3_0.75", 1_238_266),
    ("shufflenet_v1_g3_1.25", 2_600_710),
    ("mnasnet_a1_0.9", 3_476_064),
    ("mnasnet_b1_0.9", 3_924_624),
    ("ghostnet_0.7", 3_477_156),
    ("igcv3_d_0.6", 2_223_852),
)


@pytest.mark.parametrize(("name", "params"), WIDTHS)
def test_widths_between_the_listed_ones_count_as_elsewhere(name, params):
    network = build(name)
    assert parameters(network) == params
    assert network(torch.zeros(1, 3, 161, 161, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.1, 0.25, 0.5, 0.6, 1.1])
def test_groups_divide_every_width_of_shufflenet_v1(groups, width):
    with torch.device("meta"):
        network = ShuffleNetV1(groups, width, num_classes=1, in_chans=4).eval()
    assert network(torch.zeros(1, 4, 33, 33, device="meta")).shape == (1, 1)


def test_arguments_take_the_place_of_the_variants_own():
    assert parameters(build("efficientnet_b0", width=2.0, depth=3.1)) == parameters(build("efficientnet_b7"))
    assert parameters(build("mobilenet_v2_1.0", width=0.6)) == parameters(build("mobilenet_v2_0.6"))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("efficientnet_b0", {"width": 0}, "width must be from 0.1 to 10.0, not 0"),
        ("efficientnet_b0", {"depth": float("nan")}, "depth must be from 0.1 to 10.0, not nan"),
        ("mobilenet_v2_1.0", {"num_classes": 0}, "must be 1 or more, not 0 and 3"),
        ("mobilenet_v2_1.0", {"in_chans": -1}, "must be 1 or more, not 1000 and -1"),
        ("dicenet_1.0", {"width": 0.6}, r"dicenet_1\.0: there is no such network \(.*0\.2, 0\.5, 0\.75"),
        ("espnetv2_0.75", {}, r"espnetv2_0\.75: there is no such network \(a width of 0\.75 leaves 24 channels"),
        ("squeezenext_23_0.1", {}, "a width of 0.1 leaves no channel"),
        ("shufflenet_v1_g3_1.5", {"width": 0.1}, "a width of 0.1 leaves 24 channels after the 24 before"),
        ("xception", {"width": 0.5}, "xception takes num_classes, in_chans, dropout; not width"),
        ("deit_tiny", {"depth": 0.5}, "deit_tiny takes dim, layers, .*; not depth"),
    ],
)
def test_numbers_that_make_no_network_are_refused(name, arguments, message):
    with pytest.raises(ModelError, match=message):
        models.create(name, **arguments)
