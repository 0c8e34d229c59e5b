"""Names, selections and the records of the catalog; none of it needs PyTorch."""

import subprocess
import sys

import pytest

import models
from models.errors import UnknownModel
from models.zoo import catalog


def test_importing_needs_no_torch():
    code = (
        "import sys, models, models.facts.published, models.inputs, models.zoo.catalog\n"
        "models.list(); models.facts.published.preferred('ghostnet_1.0')\n"
        "models.zoo.catalog.zoo_digest(models.zoo.catalog.get('ghostnet_1.0'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_keep_the_order_of_the_catalog():
    assert catalog.names("ghostnet_*") == ["ghostnet_1.0", "ghostnet_0.5", "ghostnet_1.3"]
    assert models.list("squeezenet_1.?") == ["squeezenet_1.0", "squeezenet_1.1"]
    assert models.list() == [variant.name for variant in catalog.VARIANTS]
    assert len(set(models.list())) == len(catalog.VARIANTS)
    assert catalog.names("nothing*") == []


def test_get_returns_the_record():
    variant = catalog.get("efficientnet_lite2")
    assert (variant.family, variant.resolution, variant.year) == ("efficientnet_lite", 260, 2020)
    assert variant.arguments == {"width": 1.1, "depth": 1.2, "dropout": 0.3}
    assert hash(variant) == hash(catalog.get("efficientnet_lite2"))


def test_a_name_may_carry_a_resolution():
    variant = catalog.get("mobilenet_v1_1.0@192")
    assert (variant.name, variant.resolution) == ("mobilenet_v1_1.0@192", 192)
    assert variant.arguments == catalog.get("mobilenet_v1_1.0").arguments
    assert (variant.preprocessing.resize, variant.preprocessing.crop) == (219, 192)
    assert catalog.get("mobilenet_v1_1.0@224") == catalog.get("mobilenet_v1_1.0")


@pytest.mark.parametrize("resolution", ["", "31", "1025", "-64", "224.0", "x", "२२४", "9" * 5000])
def test_a_resolution_out_of_bounds_is_refused(resolution):
    with pytest.raises(UnknownModel, match="whole number from 32 to 1024"):
        catalog.get(f"mobilenet_v1_1.0@{resolution}")


@pytest.mark.parametrize(("name", "least"), [("inception_v3", 75), ("alexnet", 63), ("alexnet_2012", 67)])
def test_images_of_which_a_network_would_leave_nothing_are_refused(name, least):
    assert catalog.get(f"{name}@{least}").resolution == least
    with pytest.raises(UnknownModel, match=f"images of at least {least} x {least}"):
        catalog.select(f"{name}@{least - 1}")


def test_a_name_may_carry_a_width_that_is_not_listed():
    variant = catalog.get("mobilenet_v2_0.60@160")
    assert (variant.name, variant.resolution, variant.default) == ("mobilenet_v2_0.6@160", 160, False)
    assert variant.arguments == {"width": 0.6}
    assert catalog.select("mobilenet_v2_0.6") == [catalog.get("mobilenet_v2_0.6")]
    assert catalog.get("mobilenet_v2_1") == catalog.get("mobilenet_v2_1.0")
    assert catalog.get("shufflenet_v1_g3_0.75").arguments == {"groups": 3, "width": 0.75}
    assert catalog.get("shufflenet_v1_g3_0.5").arguments["stem"] == 12  # listed, as released


@pytest.mark.parametrize("text", ["0", "0.05", "10.5", "99.9999"])
def test_a_width_out_of_bounds_is_refused(text):
    with pytest.raises(UnknownModel, match=f"the width must be from 0.1 to 10.0, not {text}"):
        catalog.get(f"mobilenet_v1_{text}")


@pytest.mark.parametrize("name", ["shufflenet_v2_0.75", "dicenet_0.6", "efficientnet_b0_1.1", "mobilenet_v1_-1"])
def test_a_width_where_only_those_of_a_table_are_defined_is_unknown(name):
    with pytest.raises(UnknownModel, match="nearest"):
        catalog.get(name)


@pytest.mark.parametrize("ask", [catalog.get, catalog.select, models.create])
def test_an_unknown_name_lists_the_nearest(ask):
    with pytest.raises(UnknownModel, match=r"'mobilnet_v2_1\.0'; nearest: mobilenet_v2_1\.0, .*`bench models list`"):
        ask("mobilnet_v2_1.0")


def test_an_architecture_without_its_width_lists_its_variants():
    with pytest.raises(UnknownModel, match=r"'mobilenet_v1'; nearest: mobilenet_v1_1\.0, mobilenet_v1_0\.75, "):
        catalog.get("mobilenet_v1@224")


def test_a_pattern_is_not_a_name():
    with pytest.raises(UnknownModel):
        catalog.get("mobilenet_v1_*")


def test_select_knows_groups_names_and_patterns():
    def selected(expression):
        return [variant.name for variant in catalog.select(expression)]

    assert selected("quick") == list(catalog.QUICK)
    assert selected("all") == [variant.name for variant in catalog.VARIANTS if variant.default]
    assert {"mobilenet_v1_1.0", "mobilenet_v3_large_1.0", "mobilenet_v3_small_1.0"} <= set(selected("all"))
    assert "mobilenet_v1_0.5" not in selected("all")
    assert selected("ghostnet_0.5") == ["ghostnet_0.5"]
    assert selected("squeezenet_*@192") == ["squeezenet_1.0@192", "squeezenet_1.1@192"]
    assert selected("efficientnet_lite[01]@240") == ["efficientnet_lite0@240", "efficientnet_lite1"]
    assert selected("quick@128") == [f"{name}@128" for name in catalog.QUICK]


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(UnknownModel, match="matches 'lenet"):
        catalog.select("lenet*")


def test_preprocessing_follows_the_family():
    imagenet = catalog.get("shufflenet_v2_1.0").preprocessing
    assert (imagenet.resize, imagenet.crop, imagenet.interpolation) == (256, 224, "bilinear")
    assert (imagenet.mean, imagenet.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (imagenet.channel_order, imagenet.range) == ("RGB", (0.0, 1.0))
    lite4 = catalog.get("efficientnet_lite4").preprocessing
    assert (lite4.resize, lite4.crop, lite4.interpolation, lite4.mean) == (326, 300, "bicubic", (0.5, 0.5, 0.5))


def test_the_digest_is_of_the_family_file():
    digest = catalog.zoo_digest(catalog.get("mnasnet_small"))
    assert len(bytes.fromhex(digest)) == 32
    assert digest == catalog.zoo_digest(catalog.get("mnasnet_a1_1.0"))
    assert digest != catalog.zoo_digest(catalog.get("ghostnet_1.0"))


def test_the_digest_covers_what_the_family_file_imports(monkeypatch, tmp_path):
    for name in ("weights.py", "inputs.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "mnasnet.py").write_text("from models.zoo.other import block\n")
    (tmp_path / "zoo" / "other.py").write_text("import torch\nfrom models.zoo.layers import ConvBNAct\n")
    monkeypatch.setattr(catalog, "_MODELS", tmp_path)
    digests = set()
    for text in ("", "# changed"):
        (tmp_path / "zoo" / "layers.py").write_text(text)
        catalog._zoo_files.cache_clear()
        digests.add(catalog.zoo_digest(catalog.get("mnasnet_small")))
    catalog._zoo_files.cache_clear()
    assert len(digests) == 2
