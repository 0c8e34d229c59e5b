"""`bench train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from models.datasets.base import Dataset
    from models.train.loop import Progress
    from models.train.session import Outcome


@click.command()
@click.argument("model")
@click.option("--data", required=True, metavar="DATASET", help="The data set; of several splits, train and test.")
@click.option("--test", default=None, metavar="DATASET", help="Images to test on that lie elsewhere.")
@click.option("--epochs", type=click.IntRange(1, 10_000), default=None, help="How often every image is seen (12).")
@click.option("--batch", type=click.IntRange(2, 65_536), default=None, help="Images a step (128).")
@click.option("--rate", type=click.FloatRange(1e-6, 100), default=None, help="The highest learning rate (0.1).")
@click.option(
    "--warm-up-epochs", type=click.FloatRange(0, 10_000), default=None, help="Until the highest rate is reached (1)."
)
@click.option("--weight-decay", type=click.FloatRange(0, 1), default=None, help="Of kernels and matrices (0.0005).")
@click.option(
    "--small-share",
    type=click.FloatRange(0, 1),
    default=None,
    help="The share of the epochs, at the beginning, with images of 32 x 32 (0.5; with a teacher 0).",
)
@click.option("--bf16", is_flag=True, default=None, help="Compute in bfloat16 where PyTorch thinks it safe.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=None, help="Of everything that is random (0).")
@click.option("--from", "start", type=click.Path(dir_okay=False), default=None, help="A checkpoint to begin with.")
@click.option(
    "--optimize", default="none", metavar="WHAT", help="Change it first: prune=0.5, cluster=16, lowrank=0.5, qat."
)
@click.option("--teacher", type=click.Path(dir_okay=False), default=None, help="A checkpoint to learn from, too.")
@click.option("--teaching", type=click.FloatRange(0, 1), default=None, help="The teacher's share of the loss (0.5).")
@click.option("--temperature", type=click.FloatRange(0.1, 100), default=None, help="Softens its outputs (4).")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Of the CPU.")
@click.option("--out", type=click.Path(dir_okay=False), default=None, help="The checkpoint (MODEL.safetensors).")
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@shared.json_option
def train(
    model: str,
    data: str,
    test: str | None,
    start: str | None,
    optimize: str,
    teacher: str | None,
    device: str,
    threads: int,
    out: str | None,
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train MODEL, a network of the zoo like mobilenet_v2_0.35@48, on a data set.

    The checkpoint that it leaves is measured with `bench run --models FILE`. The same command leaves the same file,
    interrupted or not.
    """
    from models.datasets.opening import open_dataset
    from models.optimize import table
    from models.train.needs import require_torch
    from models.zoo import catalog

    variant, transformations = catalog.get(model), table.parse(optimize)
    require_torch()
    from models.train import session
    from models.train.checkpoint import describe
    from models.train.recipe import FINE_TUNING, Recipe

    chosen = {name: value for name, value in settings.items() if value is not None}
    if teacher is not None:
        chosen.setdefault("small_share", 0.0)  # what it was trained on
    before = () if start is None else table.transformations(describe(Path(start).expanduser()).applied)
    if start is not None:
        chosen = {**FINE_TUNING, "rate": table.rate((*before, *transformations)), **chosen}
    trained_on, tested_on = _splits(data, test, open_dataset)
    order = session.Order(
        model=variant.name,
        recipe=Recipe(**chosen, size=variant.resolution),
        data=trained_on,
        test=tested_on,
        out=Path(out or f"{table.join(variant.name, (*before, *transformations))}.safetensors").expanduser().absolute(),
        teacher=None if teacher is None else Path(teacher).expanduser(),
        start=None if start is None else Path(start).expanduser(),
        optimize=transformations,
        device=device,
        threads=threads,
        resume=resume,
    )
    outcome = session.carry_out(order, _tell)
    if as_json:
        shared.print_json(training=_described(outcome))
        return
    shared.say(f"{outcome.path}: {_verdict(outcome)}")


def _splits(data: str, test: str | None, open_dataset: Any) -> tuple[Dataset, Dataset]:
    """What is trained and what is tested on: splits of one data set, or two. Raises ModelError."""
    place, colon, split = data.rpartition(":")
    whole, part = (place, split) if colon and "/" not in split else (data, "train")
    return open_dataset(f"{whole}:{part}"), open_dataset(test or f"{whole}:test")


def _tell(done: Progress) -> None:
    shared.say(
        f"epoch {done.epoch}/{done.epochs}: loss {done.loss:.4f}, {done.images_per_s:,.0f} images/s, "
        f"{_minutes(done.seconds)} so far, about {_minutes(done.left_s)} left",
        err=True,
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _verdict(outcome: Outcome) -> str:
    tested = outcome.trained.tested
    cost = f"{outcome.trained.recipe.epochs} epochs in {_minutes(outcome.seconds)}"
    if tested is None:
        return cost
    return f"{100 * tested.correct / tested.images:.2f} % of {tested.images:,} test images right, {cost}"


def _described(outcome: Outcome) -> dict[str, Any]:
    return {
        "path": str(outcome.path),
        "sha256": outcome.sha256,
        "seconds": round(outcome.seconds, 1),
        "images_per_s": round(outcome.images_per_s, 1),
        "checkpoint": outcome.trained.model_dump(mode="json"),
    }
