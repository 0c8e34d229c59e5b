"""Networks of timm and torchvision: by name, exported for real, with their own weights, imported by workers alone."""

import re
import subprocess
import sys

import numpy as np
import pytest

from models import partners
from models.artifacts import Form
from models.errors import ModelError, UnknownModel
from models.export import recipe
from models.prepare import look_up, prepare
from models.sources.library import LibraryModel
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.rigs import libraries
from tests.rigs.bench import ROOT

# Writes down a state made of zeros where torchvision keeps what it has fetched.
CACHE_ZEROS = """
import sys, torch, torchvision
chosen = torchvision.models.get_model_weights(sys.argv[1]).DEFAULT
state = torchvision.models.get_model(sys.argv[1]).state_dict()
zeros = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
torch.save(zeros, f"{sys.argv[2]}/{chosen.url.rsplit('/')[-1]}")
"""

# Brings random weights of each variant's partner into the variant, which fails where they do not compute the same.
PAIR = """
import sys
from models import partners
from models.export import partner
from models.export.orders import LibraryOrder, PartnerOrder
for name in sys.argv[1:]:
    library, _, network = partners.names()[name].partition(":")
    side = 224 if name == "deit_tiny" else 96  # its weights are of one size
    theirs = LibraryOrder(
        store="", model=name, library=library, network=network, resolution=side, weights="random", targets=()
    )
    partner.load(PartnerOrder(store="", model=name, variant=f"{name}@{side}", partner=theirs, targets=()))
    print(name)
"""
# One of each kind: of either library, padded like TensorFlow, a linear layer for a convolution, a transformer.
FEW_PARTNERS = (
    "squeezenet_1.1",
    "mobilenet_v3_small_0.5",
    "mobilenet_v3_small_minimalistic",
    "tinynet_e",
    "mobilevit_xxs",
)


def test_names_of_libraries_are_requests_of_their_own():
    requests = resolve(
        ["timm:mobilenetv3_small_100.lamb_in1k,torchvision:resnet18", "timm:a/b.onnx"], weights="pretrained"
    )
    assert [request.name for request in requests] == [
        "timm:mobilenetv3_small_100.lamb_in1k",
        "torchvision:resnet18",
        "timm:a/b.onnx",
    ]
    assert requests[1] == LibraryModel("torchvision", "resnet18", "pretrained")
    assert resolve(["timm:x", "timm:x"]) == [LibraryModel("timm", "x")]
    (sized,) = resolve(["timm:x@160"])
    assert (sized.name, sized) == ("timm:x@160", LibraryModel("timm", "x", resolution=160))
    with pytest.raises(UnknownModel, match="whole number from 32 to 1024"):
        resolve(["torchvision:resnet18@big"])


def test_imagenet_weights_are_not_a_librarys():
    with pytest.raises(ModelError, match=r"timm:x: .* --weights pretrained"):
        resolve(["timm:x"], weights="imagenet")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_not_installed_is_told_before_anything_is_made(library, store, monkeypatch):
    monkeypatch.setattr(recipe, "library_versions", lambda name: None)
    for ask in (prepare, look_up):
        with pytest.raises(ModelError, match=f"{library} is not installed; pip install {library}"):
            ask(resolve([f"{library}:resnet18"]), store)


def test_a_glob_needs_its_library(monkeypatch):
    monkeypatch.setattr(recipe, "library_versions", lambda name: None)
    with pytest.raises(ModelError, match=r"timm:mobilenet\*: timm is not installed; pip install timm"):
        resolve(["timm:mobilenet*"])


def test_a_library_that_cannot_be_imported_is_told_with_its_reason(store, tmp_path, monkeypatch):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise RuntimeError('made for another torch')\n")
    (tmp_path / "timm-9.dist-info").mkdir()
    (tmp_path / "timm-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match=r"timm is installed but cannot be imported .*made for another torch"):
        prepare(resolve(["timm:x"]), store)
    with pytest.raises(ModelError, match=r"timm:x\*: timm cannot be asked for its names: .*made for another torch"):
        resolve(["timm:x*"])


def test_a_recipe_depends_on_name_weights_and_format():
    chosen = [
        ("onnx", "timm", "a", "random"),
        ("tflite", "timm", "a", "random"),
        ("onnx", "torchvision", "a", "random"),
    ]
    chosen += [("onnx", "timm", "b", "random"), ("onnx", "timm", "a", "pretrained")]
    chosen += [("onnx", "timm", "a", "random", 160)]
    assert len({recipe.library_recipe(Form(kind, "fp32"), *arguments) for kind, *arguments in chosen}) == 6


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    try:
        with libraries.importable(tmp_path_factory.mktemp("libraries")):
            yield
    except libraries.Unavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    return ArtifactStore(tmp_path_factory.mktemp("store"))


@pytest.mark.export
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("installed")
class TestWithTheLibraries:
    @pytest.mark.parametrize(
        ("name", "side", "parameters", "multiply_adds"),
        [
            ("timm:mobilenetv3_small_050", 224, 1_590_000, 24e6),
            pytest.param("torchvision:shufflenet_v2_x0_5@161", 161, 1_366_792, 25.7e6, marks=pytest.mark.zoo),
        ],
    )
    def test_both_formats_are_made_and_agree_with_pytorch(self, shared_store, name, side, parameters, multiply_adds):
        (made,) = prepare(resolve([name]), shared_store)
        facts = made.facts
        assert (facts.name, facts.family, facts.weights, facts.resolution) == (name, None, "random", side)
        assert (made.failures, facts.accuracies) == ({}, ())
        assert facts.parameters == pytest.approx(parameters, rel=0.01)
        assert facts.multiply_adds == pytest.approx(multiply_adds, rel=0.03)
        for kind, shape in (("onnx", (1, 3, side, side)), ("tflite", (1, side, side, 3))):
            artifact = made.artifacts[Form(kind, "fp32")]
            assert artifact.inputs[0].shape == shape
            assert artifact.preprocessing["crop"] == side
            assert name.partition(":")[0] in artifact.exporter
        assert look_up(resolve([name]), shared_store)[0].targets == []

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("timm:mobilenetv3_smal_100", "timm:mobilenetv3_small_100"),
            ("timm:mobilenetv3_small_100.none", r"timm:mobilenetv3_small_100\.lamb_in1k"),
            ("torchvision:renset101", "torchvision:resnet101"),
            ("torchvision:fasterrcnn_resnet50_fpn", "nearest"),
        ],
    )
    def test_an_unknown_name_gets_the_nearest_ones(self, store, name, nearest):
        with pytest.raises(UnknownModel, match=nearest):
            prepare(resolve([name]), store)

    def test_a_glob_is_every_network_that_matches(self):
        found = resolve(["torchvision:resnet1*@192", "timm:mobilenetv3_small_0?0"])
        assert [request.name for request in found] == [
            "torchvision:resnet101@192",
            "torchvision:resnet152@192",
            "torchvision:resnet18@192",
            "timm:mobilenetv3_small_050",
        ]
        (tagged,) = resolve(["timm:mobilenetv3_small_050.l*"])
        assert tagged.name == "timm:mobilenetv3_small_050.lamb_in1k"
        with pytest.raises(UnknownModel, match=r"timm:resnot\*: no image classifier of timm matches"):
            resolve(["timm:resnot*"])

    @pytest.mark.zoo
    def test_auxiliary_classifiers_do_not_stand_in_the_way_of_trained_weights(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        checkpoints = tmp_path / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        subprocess.run([sys.executable, "-c", CACHE_ZEROS, "googlenet", str(checkpoints)], check=True)
        code = (
            "from models.export import library\nfrom models.export.orders import LibraryOrder\n"
            "order = LibraryOrder(store='', model='', library='torchvision', network='googlenet', resolution=None,"
            " weights='pretrained', targets=())\n"
            "network = library.load(order)\nprint(network.module.aux1, network.accuracy.value)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "None 69.778"

    @pytest.mark.parametrize("names", [FEW_PARTNERS, pytest.param(tuple(partners.names()), marks=pytest.mark.zoo)])
    def test_partners_of_the_zoo_compute_the_same(self, names):
        done = subprocess.run(
            [sys.executable, "-c", PAIR, *names], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == list(names)

    def test_a_network_made_for_one_size_is_made_for_another(self):
        code = (
            "from models.export import library\nfrom models.export.orders import LibraryOrder\n"
            "job = LibraryOrder(store='', model='', library='timm', network='deit_tiny_patch16_224', resolution=64,"
            " weights='random', targets=())\n"
            "network = library.load(job)\nprint(network.shape, network.preprocessing['crop'], "
            "network.module.pos_embed.shape[1])"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "(3, 64, 64) 64 17"  # a class token and 4 x 4 patches

    def test_trained_weights_come_with_their_accuracy_and_origin(self, store, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        checkpoints = tmp_path / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        subprocess.run([sys.executable, "-c", CACHE_ZEROS, "squeezenet1_1", str(checkpoints)], check=True)
        (made,) = prepare(resolve(["torchvision:squeezenet1_1"], weights="pretrained"), store)
        assert "is off by" not in str(made.failures)
        artifact = made.artifacts[Form("onnx", "fp32")]
        assert made.facts.weights == artifact.weights
        assert re.fullmatch(r"pretrained \(torchvision [0-9.]+\S*, IMAGENET1K_V1\)", made.facts.weights)
        (accuracy,) = made.facts.accuracies
        assert accuracy.value == 58.178
        assert accuracy.kind == "published"
        assert "SqueezeNet1_1_Weights.IMAGENET1K_V1" in accuracy.source
        assert artifact.weights_origin.homepage.startswith("https://")
        with np.load(store.io_path(artifact)) as io:
            assert not io["out0"].any()  # the weights are the zeros that lay there
        (unmade,) = look_up(resolve(["torchvision:squeezenet1_1"]), store)
        assert len(unmade.targets) == 2

    def test_weights_that_cannot_be_fetched_or_do_not_exist_are_an_error(self, store, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")
        with pytest.raises(ModelError, match=r"cannot be fetched .* --weights random"):
            prepare(resolve(["torchvision:squeezenet1_1"], weights="pretrained"), store)
        with pytest.raises(ModelError, match="no trained weights of this network"):
            prepare(resolve(["timm:mnasnet_075"], weights="pretrained"), store)

    def test_the_process_that_asks_never_imports_them(self, store):
        code = (
            "import sys\nfrom pathlib import Path\nfrom models.store import ArtifactStore\n"
            "from models.prepare import prepare\nfrom models.sources.selection import resolve\n"
            f"try: prepare(resolve(['timm:nix']), ArtifactStore(Path({str(store.root)!r})))\n"
            "except Exception as exc: print(type(exc).__name__, {'timm', 'torchvision', 'torch'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "UnknownModel set()"
