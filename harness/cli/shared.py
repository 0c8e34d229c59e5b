"""What several commands share: opening fleet and workspace, consoles, JSON on standard output."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from harness.link.manners import PATIENCE_S, WAIT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from harness.fleet.devices import Device
    from harness.run.datasets import AccuracyRequest
    from harness.workspace import Workspace
    from models.sources.base import Source
    from results.records import Row, RunDocument
    from results.store import Store

LISTING_SCHEMA_VERSION = 2
# Exit codes of `bench run`, besides 0 and those of errors; docs/cli.md says why gaps have one of their own.
FAILED, NOTHING_MEASURED, GAPS = 1, 2, 3
INTERRUPTED = 130  # the exit code of a shell's Ctrl-C


class Within(click.FloatRange):
    """A number in a range: FloatRange lets NaN pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class Positive(Within):
    """More than nothing, in whatever unit."""

    def __init__(self, max: float) -> None:
        super().__init__(min=0, max=max, min_open=True)


WEEK_S = 7 * 86400

wait_option = click.option(
    "--wait",
    "wait_s",
    type=Within(min=0, max=WEEK_S),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a device that another run holds.",
)

patience_option = click.option(
    "--patience",
    "patience_s",
    type=Within(min=1, max=10_800),
    default=PATIENCE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long one step on a device may take beyond what is planned for it.",
)

workers_option = click.option(
    "--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Models prepared side by side."
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output (docs/cli.md).")

weights_option = click.option(
    "--weights",
    type=click.Choice(["random", "imagenet", "fashion-mnist", "pretrained"]),
    default="random",
    show_default=True,
    help="imagenet: trained weights of the zoo, from installed packages; pretrained: those of timm or torchvision, "
    "also for networks of the zoo that compute the same; "
    "fashion-mnist: networks of the zoo that were trained on it.",
)

optimize_option = click.option(
    "--optimize",
    default="none",
    show_default=True,
    metavar="WHAT",
    help="Comma-separated none, prune=0.5, lowrank=0.5, cluster=16, or several with +; each is a case of its own.",
)


def backends_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which backends, and with which options of theirs."""
    names = click.option(
        "--backends", "backend_names", default=None, help="Comma-separated (default: onnxruntime,openvino,tflite)."
    )
    options = click.option(
        "--backend-option", "options", multiple=True, metavar="BACKEND.KEY=VALUE", help="An option of one backend."
    )
    return names(options(command))


def given_options(command: Callable[..., None]) -> Callable[..., None]:
    """What can be said about inputs and outputs of one's own models, as one argument `given`. Raises ModelError."""

    @click.option("--input-shape", "shapes", multiple=True, metavar="NAME=1,3,224,224", help="Sizes of an input.")
    @click.option("--input", "values", multiple=True, metavar="NAME=VALUE", help="Numbers, a file or LOW..HIGH.")
    @click.option("--signature", default=None, metavar="NAME", help="Which one of a TFLite file with several.")
    @click.option(
        "--tolerance", "tolerances", multiple=True, metavar="[NAME=]VALUE", help="How far an output may be off."
    )
    @click.option("--nonfinite", multiple=True, metavar="NAME", help="An output in which NaN and infinity are right.")
    @functools.wraps(command)
    def with_given(
        *args: Any,
        shapes: tuple[str, ...],
        values: tuple[str, ...],
        signature: str | None,
        tolerances: tuple[str, ...],
        nonfinite: tuple[str, ...],
        **kwargs: Any,
    ) -> None:
        from models.given import typed

        command(*args, given=typed(shapes, values, signature, tolerances, nonfinite), **kwargs)

    return with_given


QUICK_SAMPLES = 2000
"""How many images the quick profile evaluates: ±1.1 percentage points at 93 %, with 95 % confidence."""


def samples_option(command: Callable[..., None]) -> Callable[..., None]:
    """On how many images an accuracy is measured."""
    words = f"How many images, each class with its share (default: all; {QUICK_SAMPLES} of the profile quick)."
    return click.option("--samples", type=click.IntRange(1), default=None, metavar="N", help=words)(command)


def asked_accuracy(
    dataset: str | None, samples: int | None, sources: Sequence[Source], *, is_quick: bool
) -> AccuracyRequest | None:
    """Return on what accuracies are measured: the data set named, else that which a model is trained on, if it is here.

    Raises ModelError for one that is named and cannot be read.
    """
    from harness.run.datasets import AccuracyRequest
    from models.datasets import open_dataset, open_images
    from models.errors import ModelError

    if dataset == "none":
        return None
    count = QUICK_SAMPLES if samples is None and is_quick else samples
    if dataset is not None:
        return AccuracyRequest(open_images(dataset), count)
    for name in dict.fromkeys(source.trained_on for source in sources if source.trained_on):
        try:
            return AccuracyRequest(open_dataset(name), count, is_default=True)
        except ModelError:
            continue
    return None


def backend_names(expression: str | None) -> list[str]:
    """Return the backends of a comma-separated list, each once; the built-in ones without. Raises UnknownBackend."""
    import backends

    if not expression:
        return list(backends.DEFAULT)
    named = list(dict.fromkeys(name for part in expression.split(",") if (name := part.strip())))
    if not named:
        raise click.BadParameter(f"{expression!r} names no backend", param_hint="--backends")
    for name in named:
        backends.find(name)
    return named


def devices_file() -> Path | None:
    """Return the devices.toml that counts. Raises ConfigError when the one named is not there, WorkspaceError."""
    from harness.errors import ConfigError
    from harness.fleet import devices as fleet
    from harness.workspace import working_folder

    named: str | None = click.get_current_context().find_root().obj
    if named is None:
        return fleet.find_file(working_folder())
    path = Path(named) if Path(named).is_absolute() else working_folder() / named
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    return path


def load_fleet() -> dict[str, Device]:
    """Return the fleet. Raises ConfigError."""
    from harness.fleet import devices as fleet

    return fleet.load(devices_file())


def open_workspace() -> Workspace:
    """Return the workspace. Raises WorkspaceError."""
    from harness.workspace import Workspace

    return Workspace.open(devices_file())


def open_store(workspace: Workspace, *, anew: bool = False) -> Store:
    """Return the index, made that of the runs there are; only those that changed are read. Raises ResultsError."""
    from results.runs import stamp
    from results.store import Store

    if anew:
        Store.remove(workspace.index)
    store = Store(workspace.index)
    stamps = {run: stamp(workspace.run_folder(run)) for run in workspace.run_ids()}
    store.update(stamps, lambda run: next(iter(documents(workspace, [run])), None))
    return store


def documents(workspace: Workspace, runs: Iterable[str]) -> Iterable[RunDocument]:
    """Yield the runs' documents; one that cannot be read is told on standard error and passed over."""
    from results import journal
    from results.errors import ResultsError

    for run in runs:
        try:
            document = journal.read(workspace.run_folder(run))
        except ResultsError as exc:
            say(f"bench: left out: {exc}", err=True)
            continue
        for note in document.notes:
            say(f"bench: {note}", err=True)
        if (began := document.header.started_at) > (datetime.now(UTC) + timedelta(days=1)).isoformat():
            say(f"bench: run {run} says that it began at {began}: a clock is off", err=True)
        yield document


def console(*, stderr: bool = False) -> Console:
    """Return a console that measures the terminal; wide where there is none, so that nothing is cut."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made = Console(stderr=stderr, highlight=False, width=160)
    return made


def say(message: str, *, err: bool = False) -> None:
    """Print a line; what a device or a foreign file says in it is not trusted with the terminal.

    Work does not end because nobody reads its standard error any more.
    """
    from dashboards.wording import clean

    try:
        click.echo(clean(message), err=err)
    except OSError:
        if not err:
            raise
        drop(sys.stderr)


def drop(stream: IO[str]) -> None:
    """Send whatever else is printed there nowhere: nor shall the interpreter try once more, and complain, at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(text: str) -> None:
    """Print text with names in it, as it is in a pipe and without control characters on a terminal."""
    from dashboards.wording import clean

    click.echo("\n".join(map(clean, text.split("\n"))) if sys.stdout.isatty() else text)


def print_json(**fields: Any) -> None:
    """Print one listing: its schema version first, then what it lists."""
    text = json.dumps({"schema_version": LISTING_SCHEMA_VERSION, **fields}, indent=2)
    click.echo(text.replace("\x7f", "\\u007f"))  # the one control character that JSON leaves as it is


def print_rows(rows: list[Row], *, as_json: bool) -> None:
    """Print result rows as the table or as JSON."""
    if as_json:
        print_json(rows=[row.model_dump(mode="json") for row in rows])
        return
    from dashboards import table

    table.print_table(rows, console())
