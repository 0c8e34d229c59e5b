"""Transformations as an axis: which models a selection comes to, what is exported of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.artifacts import Form
from models.cost import multiply_adds
from models.errors import ModelError, UnsupportedModel
from models.export import worker
from models.export.orders import OptimizedOrder
from models.optimize import table
from models.sources.base import Source
from models.sources.checkpoint import CheckpointModel
from models.sources.optimized import OptimizedModel
from models.sources.selection import resolve
from models.store import ArtifactStore
from models.train import checkpoint, session
from tests.models.onnx_files import static
from tests.models.train.test_checkpoints import TRAINED
from tests.models.train.tiny_data import CLASSES, TINY

SMALLER = table.join(TINY, table.parse("lowrank=0.5"))
FP32 = Form("onnx", "fp32")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return written(tmp_path / f"{TINY}.safetensors")


def written(path: Path, *done: str) -> Path:
    """The checkpoint of a network to which this was done."""
    module = session.fresh(TINY, CLASSES, 0).eval()
    applied = table.apply(module, table.parse("+".join(done)), (3, 32, 32))
    checkpoint.write(path, module, TRAINED.model_copy(update={"applied": applied}), half=False)
    return path


def chosen(*expressions: Any, optimize: str) -> dict[str, Source]:
    return {source.name: source for source in resolve(list(map(str, expressions)), optimize=optimize)}


def test_every_model_is_there_in_every_way_and_each_is_a_model_of_its_own() -> None:
    found = chosen("squeezenet_1.1", TINY, optimize="none,prune=0.5, lowrank=0.5+cluster=16,none")
    assert list(found) == [
        *("squeezenet_1.1", "squeezenet_1.1+prune0.5", "squeezenet_1.1+lowrank0.5+cluster16"),
        *(TINY, "mobilenet_v1_0.1+prune0.5@32", "mobilenet_v1_0.1+lowrank0.5+cluster16@32"),
    ]
    assert len({source.recipe(FP32) for source in found.values()}) == 6
    assert list(chosen(TINY, optimize="lowrank=0.5")) == [SMALLER]
    for wrong in ("", ",", "shrink=2"):
        with pytest.raises(ModelError, match="no transformation"):
            chosen(TINY, optimize=wrong)


def test_what_is_known_of_a_network_is_not_known_of_the_transformed_one(whole: Path, tmp_path: Path) -> None:
    facts = chosen(whole, optimize="lowrank=0.5")[SMALLER].facts(None)
    assert (facts.untransformed, facts.weights, facts.family) == (TINY, "stripes", "mobilenet_v1")
    assert (facts.accuracies, facts.reference) == ((), None)
    assert resolve([str(written(tmp_path / "x.safetensors", "lowrank=0.5"))])[0].facts(None).untransformed == TINY


def test_a_trained_one_is_taken_where_it_was_left_or_given(whole: Path, tmp_path: Path) -> None:
    assert isinstance(chosen(whole, optimize="lowrank=0.5")[SMALLER], OptimizedModel)
    trained = written(whole.with_name(f"{SMALLER}.safetensors"), "lowrank=0.5")
    beside = chosen(whole, optimize="none,lowrank=0.5")[SMALLER]
    assert isinstance(beside, CheckpointModel)
    assert beside.path == trained

    elsewhere = tmp_path / "elsewhere" / trained.name
    elsewhere.parent.mkdir()
    trained.rename(elsewhere)
    found = chosen(whole, elsewhere, optimize="none,lowrank=0.5")
    assert list(found) == [TINY, SMALLER], "one that is transformed already is measured as it is"
    assert found[SMALLER].path == elsewhere
    written(trained, "lowrank=0.3")
    assert isinstance(chosen(whole, optimize="lowrank=0.5")[SMALLER], OptimizedModel), "its name is not what it is"


@pytest.mark.parametrize(
    ("optimize", "words"), [("qat", "by training alone: bench train .* --optimize qat"), ("lowrank=0.5", "of the zoo")]
)
def test_what_cannot_be_done_to_a_model_is_unsupported(optimize: str, words: str, tmp_path: Path) -> None:
    model = static(tmp_path / "own.onnx") if optimize != "qat" else TINY
    (source,) = chosen(model, optimize=optimize).values()
    prepared = source.look_up(ArtifactStore(tmp_path / "store"))
    assert (prepared.targets, len(prepared.errors)) == ([], 2)
    for error in prepared.errors.values():
        assert isinstance(error, UnsupportedModel)
        with pytest.raises(UnsupportedModel, match=words):
            raise error


def test_what_transforms_has_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.optimize.lowrank.LowRank.packages", ("no-such-package",))
    with pytest.raises(ModelError, match=r"needs no-such-package: pip install 'edgebench\[optimize\]'"):
        chosen(TINY, optimize="lowrank=0.5")[SMALLER].look_up(ArtifactStore(tmp_path))


def test_the_network_of_an_order_is_transformed_or_refused_with_the_reason(whole: Path, tmp_path: Path) -> None:
    def order(optimize: str) -> OptimizedOrder:
        (source,) = chosen(whole, optimize=optimize).values()
        made = source.order(ArtifactStore(tmp_path / "store"), [])
        assert isinstance(made, OptimizedOrder)
        return OptimizedOrder.model_validate_json(made.model_dump_json())

    network = worker.load(order("lowrank=0.5"))
    assert network.accuracy is None
    assert not network.module.training
    assert multiply_adds(network.module, 32) < 0.8 * multiply_adds(checkpoint.load(whole)[0], 32)
    with pytest.raises(UnsupportedModel, match="no layer is large enough"):
        worker.load(order("lowrank=0.99"))
