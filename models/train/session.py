"""One training from its order to its checkpoint: data, network, teacher, loop, test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import models
from models.datasets.base import Dataset
from models.errors import ModelError
from models.optimize import table as optimizations
from models.optimize.base import Applied, Transformation
from models.train import checkpoint
from models.train.data import correct, examples_of
from models.train.loop import Progress, initialize, train
from models.train.recipe import Recipe
from results.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

LARGEST_LOSS_BY_ROUNDING = 0.0002
"""As a share of the test images: up to it, the checkpoint is kept in float16."""


@dataclass(frozen=True)
class Order:
    """What to train on what, and where to leave it. `model` carries the resolution; that of the recipe must agree.

    The training begins with random weights or with those of the checkpoint `start`, to which `optimize` is done first.
    """

    model: str
    recipe: Recipe
    data: Dataset
    test: Dataset
    out: Path
    teacher: Path | None = None
    start: Path | None = None
    optimize: tuple[Transformation, ...] = ()
    device: str = "cpu"
    threads: int = 1
    resume: bool = False

    @property
    def state(self) -> Path:
        """The file beside the checkpoint from which an interrupted training goes on."""
        return self.out.with_name(f"{self.out.name}.state")


@dataclass(frozen=True)
class Outcome:
    """The checkpoint that was left, and what it cost. `images_per_s` is over all epochs."""

    path: Path
    sha256: str
    trained: checkpoint.Trained
    seconds: float
    images_per_s: float


def carry_out(order: Order, progress: Callable[[Progress], None] | None = None) -> Outcome:
    """Train, test, and write the checkpoint; an interrupted training is gone on with where the order says so.

    Raises ModelError for data, a teacher or files that do not fit, and ResultsError where the disk takes no more.
    """
    _check(order)
    last: list[Progress] = []

    def told(made: Progress) -> None:
        last[:] = [made]
        if progress is not None:
            progress(made)

    with _machine(order):
        module, applied = _beginning(order)
        trained = checkpoint.Trained(
            model=order.model,
            classes=order.data.classes,
            recipe=order.recipe,
            dataset=order.data.name,
            split=order.data.split,
            sha256=order.data.identity,
            images=len(order.data),
            teacher=None if order.teacher is None else sha256_of(order.teacher),
            start=None if order.start is None else sha256_of(order.start),
            applied=applied,
            software={"torch": torch.__version__},
        )
        examples = examples_of(order.data, order.recipe)
        with optimizations.training(module, optimizations.transformations(applied), _shape(order)) as learning:
            train(
                learning,
                order.recipe,
                examples,
                device=order.device,
                teacher=None if order.teacher is None else checkpoint.load(order.teacher)[0],
                state=order.state,
                identity=trained.model_dump_json(exclude={"software"}),
                progress=told,
            )
        _write(order, module.eval(), trained)
    order.state.unlink(missing_ok=True)
    seconds = last[0].seconds if last else 0.0
    return Outcome(
        order.out,
        sha256_of(order.out),
        checkpoint.describe(order.out),
        seconds,
        len(examples) * order.recipe.epochs / seconds if seconds else 0.0,
    )


def fresh(model: str, classes: int, seed: int) -> nn.Module:
    """A network of the zoo with the random weights that its training begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # what a family makes of its own, such as embeddings
        module = models.create(model, num_classes=classes)
    initialize(module, seed)
    return module


def _beginning(order: Order) -> tuple[nn.Module, tuple[Applied, ...]]:
    """The network that the training begins with, and everything that was done to it."""
    if order.start is None:
        return fresh(order.model, len(order.data.classes), order.recipe.seed), ()
    module, started = checkpoint.load(order.start)
    if (started.model, started.classes) != (order.model, order.data.classes):
        raise ModelError(
            f"{order.start}: a {started.model} of {len(started.classes)} classes, which can go on with data of the "
            "same classes only"
        )
    optimizations.in_order((*optimizations.transformations(started.applied), *order.optimize))
    return module, (*started.applied, *optimizations.apply(module, order.optimize, _shape(order)))


def _shape(order: Order) -> tuple[int, int, int]:
    return (len(order.recipe.mean), order.recipe.size, order.recipe.size)


def _write(order: Order, module: nn.Module, trained: checkpoint.Trained) -> None:
    """In float16 where the test images see no difference."""
    examples, halved = examples_of(order.test, order.recipe), checkpoint.rounded(module)
    exact, coarse = (correct(weights, examples, order.recipe) for weights in (module, halved))
    half = abs(exact - coarse) <= LARGEST_LOSS_BY_ROUNDING * len(examples)
    tested = checkpoint.Tested(
        dataset=order.test.name,
        split=order.test.split,
        sha256=order.test.identity,
        images=len(examples),
        correct=coarse if half else exact,
    )
    checkpoint.write(order.out, module, trained.model_copy(update={"tested": tested}), half=half)


def _check(order: Order) -> None:
    if order.device == "cuda" and not torch.cuda.is_available():
        raise ModelError("PyTorch finds no CUDA device here; train with --device cpu")
    if order.teacher is not None:
        _check_teacher(order.teacher, order)
    if order.test.classes != order.data.classes:
        raise ModelError(f"{order.test.name}:{order.test.split} has other classes than {order.data.name}")
    if order.optimize and order.start is None:
        raise ModelError("--optimize changes a trained network: name its checkpoint with --from")
    if order.state.exists() and not order.resume:
        raise ModelError(f"{order.state}: a training was interrupted; go on with --resume, or remove it")
    if order.out.exists() and not order.state.exists():
        raise ModelError(f"{order.out}: exists already; remove it, or name another file with --out")


def _check_teacher(path: Path, order: Order) -> None:
    teacher = checkpoint.describe(path)
    if teacher.classes != order.data.classes:
        raise ModelError(f"{path}: a teacher of other classes; it must know those of {order.data.name}, in their order")
    if (teacher.recipe.mean, teacher.recipe.std) != (order.recipe.mean, order.recipe.std):
        raise ModelError(f"{path}: a teacher that was trained on images of another mean or deviation")


@contextmanager
def _machine(order: Order) -> Iterator[None]:
    """Sum in one order: the number of threads, and on a GPU the choice of kernels, decide the last bits."""
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(order.threads)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic
