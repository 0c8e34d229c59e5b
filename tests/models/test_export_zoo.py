"""Real exports of two zoo models with PyTorch and the converters."""

import csv
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from models.artifacts import Form
from models.export import parity, recipe
from models.facts import published
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from models.zoo import catalog
from results.files import sha256_of

pytestmark = [pytest.mark.export, pytest.mark.timeout(600)]
# Small pictures, a concatenated and a shuffled network of few layers: what costs is their number. Hard-swish and gates
# are exported in test_libraries.py, every variant by `make test-zoo`.
NAMES = ("squeezenet_1.1@64", "shufflenet_v2_0.5@64")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ArtifactStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def made(store):
    return prepare(resolve(NAMES), store)


def test_both_formats_are_made_and_agree_with_pytorch(made, store):
    for prepared, name in zip(made, NAMES, strict=True):
        facts = prepared.facts
        assert (facts.name, facts.weights, facts.resolution, prepared.failures) == (name, "random", 64, {})
        assert facts.family == catalog.get(name).family
        assert facts.parameters > 1e6
        assert facts.multiply_adds > 1e6
        assert (facts.accuracies == ()) == (published.preferred(name) is None)
        for kind, shape in (("onnx", (1, 3, 64, 64)), ("tflite", (1, 64, 64, 3))):
            artifact = prepared.artifacts[Form(kind, "fp32")]
            assert artifact.inputs[0].shape == shape
            assert artifact.outputs[0].shape == (1, 1000)
            assert artifact.preprocessing["crop"] == 64
            assert "torch" in artifact.exporter
            with np.load(store.io_path(artifact), allow_pickle=False) as io:
                assert io["in0"].shape == shape
                assert artifact.max_abs_diff <= parity.EXPORT_TOLERANCE * np.abs(io["out0"]).max()


def test_the_onnx_file_is_what_was_asked_for(made, store):
    artifact = made[0].artifacts[Form("onnx", "fp32")]
    model = onnx.load(store.model_path(artifact))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["input", "output"]
    session = onnxruntime.InferenceSession(str(store.model_path(artifact)), providers=["CPUExecutionProvider"])
    with np.load(store.io_path(artifact), allow_pickle=False) as io:
        answer = session.run(None, {"input": io["in0"]})[0]
        assert np.abs(answer - io["out0"]).max() <= artifact.tolerance * np.abs(io["out0"]).max()


def test_no_path_of_this_machine_is_in_a_file(made, store):
    for prepared in made:
        for artifact in prepared.artifacts.values():
            data = store.model_path(artifact).read_bytes()
            assert b"site-packages" not in data
            assert b'File "' not in data
            assert str(Path.cwd()).encode() not in data


def test_a_second_export_gives_the_same_bytes(made, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    (again,) = prepare(resolve(NAMES[:1]), ArtifactStore(tmp_path / "other"))
    for kind, artifact in made[0].artifacts.items():
        assert again.artifacts[kind].sha256 == artifact.sha256


def test_a_second_run_uses_what_is_there(made, store, monkeypatch):
    monkeypatch.setattr("models.export.process.Workers.run", lambda *_: pytest.fail("a worker was started"))
    assert prepare(resolve(NAMES), store) == made


def test_keys_depend_on_all_that_matters():
    variant = catalog.get("mobilenet_v3_small_0.5")
    keys = {recipe.zoo_recipe(Form(kind, "fp32"), catalog.get(name)) for kind in ("onnx", "tflite") for name in NAMES}
    keys |= {recipe.zoo_recipe(Form("onnx", "fp32"), variant)}
    assert len(keys) == 5
    versions = recipe.exporter_versions("onnx")
    one = recipe.network_key("a" * 64, versions)
    assert one != recipe.network_key("a" * 64, versions | {"torch": "0"})
    assert one != recipe.network_key("b" * 64, versions)


def test_a_source_that_writes_the_same_as_before_is_the_one_that_was_compared():
    """A line of `same.csv` keeps keys valid; it must go, or be renewed, when its source changes again."""
    models = Path(recipe.__file__).parent.parent
    with (models / "export" / "same.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert sha256_of(models / row["source"]) == row["sha256"], row["source"]
