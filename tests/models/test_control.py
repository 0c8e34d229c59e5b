"""The control: the files that are shipped are the ones whose hashes are fixed, and go into a store like others."""

import shutil

import numpy as np
import pytest

from models import control, cost
from models.artifacts import Form
from models.control.make import Control
from models.errors import ModelError
from models.export.parity import OnnxRunner, TfliteRunner, check
from models.sources.control import ControlModel
from models.store import ArtifactStore
from results.files import sha256_of

# The bytes of the reference pairs as the store writes them: other bytes would be another series.
PAIRS = {
    "onnx": "6f4f5ca476a7b925ede98136ee5d7a902e3a54602dcc8325b1d8cf135d2ef1a1",
    "tflite": "3e953bcbbe5206d4c8c3794e4f9f04e6bc4770b9b72afc22177d6e3f63e28b6e",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ArtifactStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def artifacts(store):
    return ControlModel().look_up(store).artifacts


def test_what_is_shipped_is_what_was_fixed():
    assert {ending: sha256_of(control.path(ending)) for ending in control.SHA256} == control.SHA256


def test_it_is_an_artifact_like_others_and_the_same_everywhere(store, artifacts):
    assert set(artifacts) == {Form("onnx", "fp32"), Form("tflite", "fp32")}
    for form, artifact in artifacts.items():
        assert artifact.sha256 == control.SHA256[form.format]
        assert artifact.io_sha256 == PAIRS[form.format]
        assert store.find(artifact.key) == artifact
    assert ControlModel().look_up(store).artifacts == artifacts


def test_each_file_computes_its_reference(store, artifacts):
    for form, artifact in artifacts.items():
        path, taken = store.model_path(artifact), [artifact.inputs[0].name]
        runner = OnnxRunner(path) if form.format == "onnx" else TfliteRunner(path)
        with np.load(store.io_path(artifact), allow_pickle=False) as pair:
            check(runner([pair["in0"]])[0], pair["out0"])
        assert runner.output_names == [artifact.outputs[0].name]
        assert taken == (["input"] if isinstance(runner, OnnxRunner) else [runner.input_specs()[0].name])


def test_its_cost_is_that_of_the_network_it_was_made_from():
    network = Control()
    size = (3, control.RESOLUTION, control.RESOLUTION)
    assert cost.parameters(network) == control.PARAMETERS == ControlModel().facts(None).parameters
    assert cost.multiply_adds(network, size) == control.MULTIPLY_ADDS


def test_other_files_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(control, "path", lambda ending: tmp_path / f"control.{ending}")
    with pytest.raises(ModelError, match=r"control\.onnx: not the file that bench ships"):
        ControlModel().look_up(ArtifactStore(tmp_path / "store"))
    shutil.copy(control.__file__, tmp_path / "control.onnx")
    with pytest.raises(ModelError, match="install bench again"):
        ControlModel().look_up(ArtifactStore(tmp_path / "store"))
