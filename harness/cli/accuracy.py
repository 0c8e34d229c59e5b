"""`bench accuracy`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from harness.cli import run, shared
from harness.link.manners import Manners

if TYPE_CHECKING:
    from models.given import Given
    from models.sources.base import Weights


@click.command()
@click.argument("expressions", metavar="MODELS...", nargs=-1, required=True)
@click.option(
    "--dataset",
    metavar="DATASET",
    default=None,
    help="On which images (default: those that the models are trained on).",
)
@shared.samples_option
@run.device_option
@shared.backends_options
@run.precision_option
@shared.weights_option
@shared.optimize_option
@shared.given_options
@shared.wait_option
@shared.patience_option
@run.reconnect_option
@shared.workers_option
@click.option("--dry-run", is_flag=True, help="Print the plan, its number of images and the time it will take.")
@shared.json_option
@click.pass_context
def accuracy(
    context: click.Context,
    expressions: tuple[str, ...],
    dataset: str | None,
    samples: int | None,
    device_names: tuple[str, ...],
    backend_names: str | None,
    options: tuple[str, ...],
    precisions: tuple[str, ...],
    weights: Weights,
    optimize: str,
    given: Given,
    wait_s: float,
    patience_s: float,
    reconnect_s: float,
    workers: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure the accuracy of models on the device, under every runtime, and no latency.

    The images are prepared here, brought to the device and evaluated there through the same artifact and runtime as a
    latency. What is interrupted goes on with bench run --resume.
    """
    from harness.fleet import devices as fleet
    from harness.run import start as runs
    from harness.run.plan import PROFILES
    from models.sources.selection import resolve

    workspace = shared.open_workspace()
    sources = resolve(expressions, given, weights, optimize)
    request = runs.RunRequest(
        devices=fleet.choose(shared.load_fleet(), device_names),
        models=sources,
        backends=run.choices(backend_names, options),
        profile=PROFILES["quick"].model_copy(update={"name": "accuracy", "restarts": 0}),
        precisions=run.PRECISIONS if "auto" in precisions else precisions,
        command=tuple(run.kept(argument) for argument in sys.argv[1:]),
        accuracy=shared.asked_accuracy(dataset, samples, sources, is_quick=False),
    )
    if request.accuracy is None:
        raise click.UsageError("name a data set with --dataset: none of the models is trained on one that is here")
    manners = Manners(wait_s, patience_s, reconnect_s)
    context.exit(run.measure(request, workspace, manners, workers=workers, dry_run=dry_run, as_json=as_json))
