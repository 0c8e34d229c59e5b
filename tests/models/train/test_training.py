"""A training from its command to its checkpoint: what it learns, that it repeats itself, that it survives a kill."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.datasets.opening import open_dataset
from models.errors import ModelError
from models.train import checkpoint, session, state
from models.train.data import Examples, augmented, correct, examples_of, normalized, predict
from models.train.loop import Progress, train
from models.train.recipe import Recipe
from results.files import sha256_of
from tests.models.train.tiny_data import CLASSES, TINY, make
from tests.rigs.bench import Bench
from tests.rigs.waiting import wait_until

RECIPE = Recipe(epochs=2, batch=32, size=32, small_share=0.0, averaging=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("data") / "stripes")


@pytest.fixture
def order(data: Path, tmp_path: Path) -> session.Order:
    train_split, test_split = (open_dataset(f"{data}:{split}") for split in ("train", "test"))
    return session.Order(TINY, RECIPE, train_split, test_split, tmp_path / "tiny.safetensors")


@pytest.fixture
def examples(data: Path) -> Examples:
    return examples_of(open_dataset(f"{data}:train"), RECIPE)


def small(seed: int) -> nn.Module:
    """A network that learns stripes at once."""
    torch.manual_seed(seed)
    features = (nn.Conv2d(3, 16, 7, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    return nn.Sequential(*features, nn.Dropout(0.1), nn.Linear(16, CLASSES))


def test_a_small_network_learns(examples: Examples) -> None:
    told: list[Progress] = []
    recipe = RECIPE.model_copy(update={"epochs": 8})
    module = train(small(0), recipe, examples, progress=told.append)

    assert not module.training
    assert correct(module, examples, recipe) > 0.8 * len(examples)
    assert [progress.epoch for progress in told] == list(range(1, 9))
    assert told[-1].loss < told[0].loss
    assert told[-1].seconds > told[0].seconds


def test_an_order_becomes_a_checkpoint(order: session.Order) -> None:
    outcome = session.carry_out(order)

    module, trained = checkpoint.load(outcome.path)
    assert (trained, sha256_of(outcome.path)) == (outcome.trained, outcome.sha256)
    assert (trained.classes, trained.dataset, trained.images) == (order.data.classes, "stripes", 160)
    assert trained.tested is not None
    assert trained.tested.correct == correct(module, examples_of(order.test, RECIPE), RECIPE)
    assert not order.state.exists()
    with pytest.raises(ModelError, match="exists already"):
        session.carry_out(order)


def test_the_same_order_leaves_the_same_file_and_another_seed_another(order: session.Order, tmp_path: Path) -> None:
    first = session.carry_out(order).sha256
    torch.manual_seed(99)  # of no consequence
    again = session.carry_out(replace(order, out=tmp_path / "again.safetensors")).sha256
    recipe = RECIPE.model_copy(update={"seed": 1})
    other = session.carry_out(replace(order, recipe=recipe, out=tmp_path / "other.safetensors")).sha256

    assert first == again != other


def test_a_training_that_was_killed_ends_in_the_same_file(data: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    command = ["train", TINY, "--data", str(data), "--epochs", "4", "--batch", "32", "--rate", "0.05"]
    bench(*command, "--out", "whole.safetensors")
    at = tmp_path / "cut.safetensors.state"

    process = bench.start(*command, "--out", "cut.safetensors")
    wait_until(lambda: at.exists() and state.read(at)[0].epoch >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 1 <= state.read(at)[0].epoch < 4
    refused = bench(*command, "--out", "cut.safetensors", expect=2)
    assert "--resume" in refused.stderr
    ended = bench.json(*command, "--out", "cut.safetensors", "--resume")["training"]

    assert ended["sha256"] == sha256_of(tmp_path / "cut.safetensors") == sha256_of(tmp_path / "whole.safetensors")
    assert ended["seconds"] > 0


def test_a_state_of_another_recipe_is_refused(order: session.Order) -> None:
    train(
        session.fresh(TINY, CLASSES, 0), RECIPE, examples_of(order.data, RECIPE), state=order.state, identity="another"
    )

    with pytest.raises(ModelError, match="of another training"):
        session.carry_out(replace(order, resume=True))


@pytest.mark.parametrize("keep", [0, 9, 5000, -1])
def test_a_damaged_state_is_told(order: session.Order, keep: int) -> None:
    train(session.fresh(TINY, CLASSES, 0), RECIPE, examples_of(order.data, RECIPE), state=order.state)
    order.state.write_bytes(order.state.read_bytes()[:keep])

    with pytest.raises(ModelError, match="not the state of a training"):
        session.carry_out(replace(order, resume=True))


def test_a_loss_that_is_no_number_ends_it(examples: Examples) -> None:
    unbounded = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.Linear(16, CLASSES))

    with pytest.raises(ModelError, match="lower rate"):
        train(unbounded, RECIPE.model_copy(update={"rate": 1e5}), examples)


def test_a_step_can_be_followed_by_a_constraint(examples: Examples) -> None:
    def clear(module: nn.Module) -> None:
        with torch.no_grad():
            module[6].weight[0] = 0  # type: ignore[index]

    module = train(small(0), RECIPE, examples, after_step=clear)

    # The average still holds a little of the weights before the first step.
    assert module[6].weight[0].abs().max() < 0.1 * module[6].weight[1].abs().max()


def test_a_teacher_is_followed(examples: Examples) -> None:
    """Without a word about the labels, which here are all the same, the student finds out what the teacher knows."""
    recipe = RECIPE.model_copy(update={"epochs": 8, "teaching": 1.0})
    teacher = train(small(0), recipe, examples)
    blind = Examples(examples.images, torch.zeros_like(examples.labels))

    student = train(small(1), recipe, blind, teacher=teacher)

    assert correct(student, examples, recipe) > 0.7 * len(examples)


def test_a_checkpoint_names_its_teacher(order: session.Order, tmp_path: Path) -> None:
    teacher = session.carry_out(order)
    taught = session.carry_out(replace(order, out=tmp_path / "student.safetensors", teacher=teacher.path))

    assert taught.trained.teacher == teacher.sha256 != taught.sha256


def test_crops_and_mirrors_move_pixels_and_nothing_else() -> None:
    images = torch.arange(1, 65, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    plain = Recipe(size=8, shift=0.0, flip=0.0)
    generator = torch.Generator().manual_seed(0)

    assert torch.equal(augmented(images, plain, generator, 8), normalized(images, plain))
    mirrored = augmented(images, plain.model_copy(update={"flip": 1.0}), generator, 8)
    assert torch.equal(mirrored, normalized(images.flip(3), plain))
    moved = augmented(images, plain.model_copy(update={"shift": 0.25}), generator, 8)[:, 0]
    found = {
        (down, right)
        for image in moved
        for down in range(-2, 3)
        for right in range(-2, 3)
        if image[4 + down, 4 + right] == normalized(images[:1], plain)[0, 0, 4, 4]
    }
    assert len(found) == 25
    assert augmented(images, plain, generator, 16).shape == (200, 3, 16, 16)


def test_images_are_fed_as_the_checkpoint_says(order: session.Order) -> None:
    """What is predicted in training is what its preprocessing makes of one image at a time."""
    outcome = session.carry_out(order)
    module, trained = checkpoint.load(outcome.path)
    steps = trained.recipe.preprocessing
    assert (steps.resize, steps.crop) == (32, 32)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (steps.mean, steps.std))
    tested = examples_of(order.test, RECIPE)
    one_by_one = torch.cat(
        [module(((image / 255 - mean) / std)[None]).detach() for image in tested.images[:10].expand(-1, 3, -1, -1)]
    )

    torch.testing.assert_close(predict(module, tested, trained.recipe)[:10], one_by_one)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mobilenet_v9", "--data", "DATA"], "no model of the zoo"),
        ([TINY, "--data", "nowhere"], "nowhere"),
        ([TINY, "--data", "DATA", "--teacher", "none.safetensors"], "none.safetensors"),
        ([TINY, "--data", "DATA", "--device", "cuda"], "CUDA"),
        ([TINY, "--data", "DATA", "--epochs", "0"], "--epochs"),
    ],
)
def test_what_cannot_be_is_refused(data: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    typed = [str(data) if argument == "DATA" else argument for argument in arguments]

    assert words in Bench(tmp_path)("train", *typed, expect=2).stderr
    assert not list(tmp_path.glob("*.safetensors*"))
