"""Trained weights among the models that are chosen: those that ship, those of variants, own files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from models import checkpoints
from models.artifacts import Form
from models.datasets.opening import open_dataset
from models.errors import ModelError, UnreadableModel
from models.sources.checkpoint import CheckpointModel
from models.sources.selection import resolve
from models.train import checkpoint, session
from models.train.data import Examples, correct, examples_of
from results.files import sha256_of
from tests.models.train.test_checkpoints import TRAINED
from tests.models.train.tiny_data import CLASSES, TINY
from tests.rigs.bench import Bench

SET = "fashion-mnist"
SHIPPED = checkpoints.files(SET)
ONE = next(iter(SHIPPED))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "mine.safetensors"
    checkpoint.write(found, session.fresh(TINY, CLASSES, 0).eval(), TRAINED, half=False)
    return found


def test_a_set_is_the_group_of_its_checkpoints() -> None:
    found = resolve([SET])

    assert [source.name for source in found] == list(SHIPPED)
    for source in found:
        facts = source.facts(None)
        assert (source.weights, source.trained_on, facts.weights) == (SET, SET, SET)
        assert facts.reference is not None
        assert facts.reference.value >= 90
        assert facts.accuracies == (), "what nobody measured here is no figure of a row"
        assert source.recipe(Form("onnx", "fp32")) != resolve([source.name])[0].recipe(Form("onnx", "fp32"))


def test_weights_of_a_variant_bring_their_resolution() -> None:
    base = ONE.partition("@")[0]
    found = resolve([base, ONE], weights=SET)

    assert [source.name for source in found] == [ONE]
    with pytest.raises(ModelError, match=ONE):
        resolve(["resnet50"], weights=SET)
    with pytest.raises(ModelError, match=ONE):
        resolve([f"{base}@96"], weights=SET)


def test_an_own_checkpoint_is_a_model_of_its_own(path: Path) -> None:
    (found,) = resolve([str(path)])

    assert isinstance(found, CheckpointModel)
    assert (found.name, found.weights, found.trained_on) == ("mine", "stripes", "")
    assert found.facts(None).reference == TRAINED.tested.accuracy
    before = found.recipe(Form("onnx", "fp32"))
    checkpoint.write(path, session.fresh(TINY, CLASSES, 1), TRAINED, half=False)
    assert resolve([str(path)])[0].recipe(Form("onnx", "fp32")) != before
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableModel, match=r"mine\.safetensors"):
        resolve([str(path)])


def test_all_that_ship_are_small_and_say_what_they_cost() -> None:
    with (next(iter(SHIPPED.values())).parent / "costs.csv").open() as file:
        costs = {row["model"]: row for row in csv.DictReader(file)}

    assert list(costs) == list(SHIPPED)
    assert sum(path.stat().st_size for path in SHIPPED.values()) < 20e6
    for model, path in SHIPPED.items():
        trained = checkpoint.describe(path)
        assert (trained.model, int(costs[model]["file_bytes"])) == (model, path.stat().st_size)
        assert trained.tested is not None
        assert float(costs[model]["test_accuracy_percent"]) == trained.tested.accuracy.value


@pytest.mark.parametrize("model", SHIPPED)
def test_one_that_ships_is_as_accurate_as_it_says(model: str) -> None:
    """On 300 test images, within four standard deviations of the binomial."""
    pytest.importorskip("torch")
    data = fashion_mnist()
    module, trained = checkpoint.load(SHIPPED[model])
    assert trained.tested is not None
    assert (trained.classes, trained.tested.sha256) == (data.classes, data.identity)
    chosen = np.random.default_rng(0).permutation(len(data))[:300]
    whole = examples_of(data, trained.recipe)
    right = correct(module, Examples(whole.images[chosen], whole.labels[chosen]), trained.recipe)

    share = trained.tested.correct / trained.tested.images
    assert abs(right - 300 * share) < 4 * (300 * share * (1 - share)) ** 0.5


def fashion_mnist():
    try:
        return open_dataset(f"{SET}:test")
    except ModelError as error:
        pytest.skip(str(error))


@pytest.mark.export
def test_an_own_checkpoint_is_exported_to_both_formats(path: Path) -> None:
    bench = Bench(path.parent)
    listed = bench.json("models", "export", str(path))["artifacts"]

    assert {(one["format"], one["weights"]) for one in listed} == {("onnx", "stripes"), ("tflite", "stripes")}
    module, trained = checkpoint.load(path)
    for one in listed:
        assert one["preprocessing"] == trained.recipe.preprocessing.facts()
        assert one["outputs"][0]["shape"] == [1, CLASSES]
        folder = bench.workspace / "artifacts" / one["sha256"]
        with np.load(next(folder.glob("*.npz"))) as pair:
            fed = torch.from_numpy(pair["in0"])
            image = fed if one["format"] == "onnx" else fed.permute(0, 3, 1, 2)
            with torch.no_grad():
                np.testing.assert_allclose(module(image).numpy(), pair["out0"], atol=1e-4)
    assert sha256_of(path)
