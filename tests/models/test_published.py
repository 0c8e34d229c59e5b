"""Published figures: sane values, one preferred row each, sources a reader can follow."""

import re
from collections import Counter

import pytest

from models.errors import UnknownModel
from models.facts import published
from models.zoo import catalog

ALL = published.table()
# Networks that no source read here reports a figure for.
UNPUBLISHED = {"cham_v2", "cham_v1a", "deeplab_v3_mobilenet_v2_1.0_os8", "deeplab_v3_mobilenet_v2_0.5_os8"}


def test_every_figure_belongs_to_a_variant_of_the_zoo():
    assert {fact.variant for fact in ALL} <= set(catalog.names())


def test_every_variant_has_a_preferred_figure_at_its_own_resolution():
    assert {name for name in catalog.names() if published.preferred(name) is None} == UNPUBLISHED


def test_exactly_one_figure_is_preferred_per_variant_and_resolution():
    groups = {(fact.variant, fact.resolution) for fact in ALL}
    assert Counter((fact.variant, fact.resolution) for fact in ALL if fact.preferred) == dict.fromkeys(groups, 1)


def test_no_figure_appears_twice():
    assert Counter(ALL).most_common(1)[0][1] == 1


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: f"{fact.variant}@{fact.resolution} {fact.source}")
def test_a_figure_is_plausible(fact):
    value = fact.top1 if fact.mean_iou is None else fact.mean_iou
    assert value is not None
    assert 40 < value < 90
    assert (fact.mean_iou is not None) == (catalog.get(fact.variant).task == "segmentation")
    if fact.top5 is not None:
        assert fact.top1 + 8 < fact.top5 < 99
    assert fact.resolution in catalog.RESOLUTIONS
    assert fact.source
    assert not re.search(r"\[|\]|seed|recalled", fact.source + fact.note)


def test_a_figure_from_memory_or_of_a_quantized_network_is_preferred_only_alone():
    groups = Counter((fact.variant, fact.resolution) for fact in ALL)
    doubtful = [fact for fact in ALL if fact.preferred and (fact.recalled or "8-bit" in fact.note)]
    assert [fact for fact in doubtful if groups[fact.variant, fact.resolution] > 1] == []


def test_accuracy_grows_with_width_and_resolution():
    for name in ("mobilenet_v1_1.0", "mobilenet_v2_1.0", "mobilenet_v2_0.35", "mnasnet_a1_1.0"):
        top1 = [published.preferred(f"{name}@{resolution}").top1 for resolution in (128, 160, 192, 224)]
        assert top1 == sorted(top1)
    lite = [published.preferred(f"efficientnet_lite{index}").top1 for index in range(5)]
    assert lite == sorted(lite)


@pytest.mark.parametrize(
    ("name", "top1", "top5", "source"),
    [
        ("mobilenet_v2_1.0", 72.0, None, "Sandler et al. 2018, arXiv:1801.04381"),
        ("mobilenet_v1_1.0", 70.6, None, "Howard et al. 2017, arXiv:1704.04861"),
        ("mobilenet_v1_1.0@192", 70.0, 89.2, "TF-slim release"),
        ("mobilenet_v3_small_1.0", 67.922, 87.686, "tf_mobilenetv3_small_100.in1k"),
        ("shufflenet_v2_1.0", 69.4, None, "Ma et al. 2018, arXiv:1807.11164"),
        ("squeezenet_1.1", 58.178, 80.624, "torchvision 0.28 weights IMAGENET1K_V1"),
        ("mnasnet_a1_1.0", 75.2, 92.5, "tensorflow/tpu"),
        ("efficientnet_lite0", 75.1, None, "tensorflow/tpu"),
        ("ghostnet_1.0", 73.98, 91.46, "huawei-noah"),
        ("espnetv2_1.0", 66.09, 86.54, "EdgeNets"),
        ("dicenet_1.0", 66.45, 86.64, "EdgeNets"),
        ("micronet_m1", 51.4, None, "liyunsheng13/micronet"),
        ("mobilevit_xxs", 68.936, 88.942, "mobilevit_xxs.cvnets_in1k"),
        ("edgevit_xxs", 74.4, None, "Pan et al. 2022, arXiv:2205.03436"),
    ],
)
def test_preferred_figures(name, top1, top5, source):
    fact = published.preferred(name)
    assert (fact.top1, fact.top5) == (top1, top5)
    assert source in fact.source


def test_the_resolution_must_match():
    assert {fact.resolution for fact in published.facts("mobilenet_v1_1.0@160")} == {160}
    assert published.facts("ghostnet_1.0@160") == []
    assert published.preferred("ghostnet_1.0@160") is None


def test_the_preferred_figure_comes_first():
    for name in catalog.names():
        assert [fact.preferred for fact in published.facts(name)][:1] in ([], [True])


def test_an_unknown_name_is_an_error():
    with pytest.raises(UnknownModel):
        published.facts("resnet_9000")


def test_the_accuracy_of_a_reconstruction_is_said_to_be_the_originals():
    accuracy = published.accuracy("igcv2_1.0")
    assert accuracy is not None
    assert accuracy.value == 70.7
    assert accuracy.source.endswith("(the authors' network, of which this one is a reconstruction)")
    assert published.accuracy("mobilenet_v1_1.0").source == "Howard et al. 2017, arXiv:1704.04861"


def test_the_accuracy_of_a_segmentation_network_is_of_another_metric_and_data_set():
    accuracy = published.accuracy("deeplab_v3_mobilenet_v2_1.0")
    assert (accuracy.value, accuracy.metric, accuracy.dataset) == (75.32, "mean IoU %", "PASCAL VOC 2012 val")
    assert not accuracy.recalled
    assert published.accuracy("deeplab_v3_mobilenet_v2_1.0_os8") is None


def test_nothing_is_published_of_a_width_in_between():
    assert published.accuracy("mobilenet_v1_0.6") is None
    assert published.differences("shufflenet_v1_g3_0.75") == []
    assert published.differences("shufflenet_v1_g3_0.5")
