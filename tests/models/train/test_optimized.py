"""From a checkpoint to one of a transformed network: what is kept of it, and that it goes on from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.cost import multiply_adds
from models.datasets.opening import open_dataset
from models.errors import ModelError
from models.optimize import table
from models.train import checkpoint, session
from models.train.data import correct, examples_of
from models.train.recipe import FINE_TUNING, Recipe
from results.files import sha256_of
from tests.models.train.tiny_data import TINY, make

pytest.importorskip("torch_pruning")
RECIPE = Recipe(**{**FINE_TUNING, "epochs": 1}, batch=32, size=32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> session.Order:
    """A training whose checkpoint is there."""
    folder = tmp_path_factory.mktemp("start")
    data = make(folder / "stripes")
    splits = (open_dataset(f"{data}:{split}") for split in ("train", "test"))
    order = session.Order(TINY, RECIPE.model_copy(update={"rate": 0.1}), *splits, folder / "tiny.safetensors")
    session.carry_out(order)
    return order


def after(trained: session.Order, what: str, out: Path, start: Path | None = None) -> session.Order:
    return replace(trained, recipe=RECIPE, start=start or trained.out, optimize=table.parse(what), out=out)


@pytest.mark.parametrize("what", ["prune=0.3", "lowrank=0.3+cluster=4", "qat"])
def test_a_transformed_network_is_a_checkpoint_like_any_other(
    trained: session.Order, what: str, tmp_path: Path
) -> None:
    order = after(trained, what, tmp_path / "smaller.safetensors")
    outcome = session.carry_out(order)

    module, kept = checkpoint.load(outcome.path)
    assert kept.name == table.join(TINY, table.parse(what))
    assert kept.start == sha256_of(trained.out)
    assert kept.tested is not None
    assert kept.tested.correct == correct(module, examples_of(order.test, RECIPE), RECIPE)
    whole = checkpoint.load(trained.out)[0]
    assert (multiply_adds(module, 32) < multiply_adds(whole, 32)) == (what != "qat")
    if "cluster" in what:
        assert all(module.get_submodule(name).weight.unique().numel() <= 4 for name in kept.applied[-1].layers)


def test_the_next_transformation_goes_on_from_there(trained: session.Order, tmp_path: Path) -> None:
    pruned = session.carry_out(after(trained, "prune=0.3", tmp_path / "pruned.safetensors"))
    both = session.carry_out(after(trained, "cluster=4", tmp_path / "both.safetensors", pruned.path))
    assert both.trained.name == "mobilenet_v1_0.1+prune0.3+cluster4@32"
    with pytest.raises(ModelError, match="each transformation at most once"):
        session.carry_out(after(trained, "prune=0.3", tmp_path / "twice.safetensors", pruned.path))


def test_an_interrupted_one_ends_in_the_same_file(trained: session.Order, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2})
    order = replace(after(trained, "prune=0.3+cluster=4", tmp_path / "a.safetensors"), recipe=recipe)
    whole = session.carry_out(order)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    again = replace(order, out=tmp_path / "b.safetensors")
    with pytest.raises(KeyboardInterrupt):
        session.carry_out(again, stop)
    assert session.carry_out(replace(again, resume=True)).sha256 == whole.sha256


def test_what_does_not_fit_is_refused(trained: session.Order, tmp_path: Path) -> None:
    out = tmp_path / "refused.safetensors"
    with pytest.raises(ModelError, match="name its checkpoint with --from"):
        session.carry_out(replace(after(trained, "qat", out), start=None))
    with pytest.raises(ModelError, match=f"a {TINY} of 4 classes, which can go on with data of the same"):
        session.carry_out(replace(after(trained, "qat", out), model="mobilenet_v1_0.25@32"))
    module, kept = checkpoint.load(trained.out)
    damaged = table.apply(module, table.parse("prune=0.3"), (3, 32, 32))[0]
    for record, words in (
        (damaged.model_copy(update={"transformation": "shrink9"}), "is no transformation of a network"),
        (damaged.model_copy(update={"layers": {"nowhere": {"num_features": 8}}}), "has no layer 'nowhere'"),
    ):
        checkpoint.write(out, module, kept.model_copy(update={"applied": (record,)}), half=False)
        with pytest.raises(ModelError, match=words):
            checkpoint.load(out)
