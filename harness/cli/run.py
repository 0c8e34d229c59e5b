"""`bench run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from harness.cli import profiles, shared
from harness.link.manners import RECONNECT_S, Manners

if TYPE_CHECKING:
    from harness.cli.display import Display
    from harness.fleet.devices import Device
    from harness.run.plan import BackendChoice
    from harness.run.runner import Run
    from harness.run.start import RunRequest
    from harness.workspace import Workspace
    from models.artifacts import Artifact
    from models.given import Given
    from models.sources.base import Weights
    from results.records import Row, RunDocument


def _numbers(_context: click.Context, _option: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers like 1,2") from None
    if not all(1 <= count <= 1024 for count in counts):
        raise click.BadParameter("a number of threads is between 1 and 1024")
    return counts


PRECISIONS = ("fp32", "fp16", "bf16", "int8")
MAX_LOSS = 1.0
"""Percentage points of accuracy that a precision may cost to be chosen, where nothing else is said."""


def _precisions(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Those that were asked for, each once; `auto` alone or beside others stays the first."""
    asked = tuple(dict.fromkeys(part.strip() for part in (value or "").split(",") if part.strip()))
    if value is not None and not asked:
        raise click.BadParameter(f"{value!r} names no precision")
    for one in asked:
        if one not in (*PRECISIONS, "auto"):
            raise click.BadParameter(f"{one!r} is no precision; there are {', '.join(PRECISIONS)} and auto")
    return asked


# What may be said anew of a run that goes on; the rest was written down when it began.
_BESIDE_RESUME = {"resumed", "wait_s", "patience_s", "reconnect_s", "as_json"}


device_option = click.option(
    "--device",
    "device_names",
    multiple=True,
    default=("local",),
    show_default="local",
    help="Names, globs, class:X, tag:X, all.",
)

precision_option = click.option(
    "--precision",
    "precisions",
    callback=_precisions,
    default=None,
    help="Comma-separated fp32, fp16, bf16, int8, or auto: all of them (default: as exported or given).",
)

reconnect_option = click.option(
    "--reconnect",
    "reconnect_s",
    type=shared.Within(min=0, max=shared.WEEK_S),
    default=RECONNECT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long a device that went away is tried again before its cases are offline.",
)


@click.command()
@device_option
@click.option(
    "--models",
    "-m",
    "expressions",
    multiple=True,
    help="quick, all, names, globs, NAME@RESOLUTION, timm:NAME, torchvision:NAME or files.",
)
@shared.backends_options
@click.option("--threads", callback=_numbers, default=None, help="Comma-separated; each is a case of its own.")
@precision_option
@click.option(
    "--max-loss",
    type=shared.Within(0, 100),
    default=MAX_LOSS,
    show_default=True,
    metavar="POINTS",
    help="With --precision auto: how much accuracy the chosen precision may cost.",
)
@click.option(
    "--calibration",
    metavar="DATASET",
    default=None,
    help="For int8: images to find the ranges of activations from (default: those it was trained on, or synthetic).",
)
@profiles.options
@shared.weights_option
@shared.optimize_option
@shared.given_options
@click.option(
    "--accuracy",
    "dataset",
    metavar="DATASET",
    default=None,
    help="Measure accuracies on it, too (default: the one that models are trained on, if it is here; none: never).",
)
@shared.samples_option
@click.option("--strict", is_flag=True, help="A case fails that does not wholly run on the accelerator asked for.")
@click.option("--no-control", is_flag=True, help="Measure no control beside the models.")
@click.option("--seed", type=int, default=None, help="Seed of the order of cases (default: drawn, and recorded).")
@shared.wait_option
@shared.patience_option
@reconnect_option
@shared.workers_option
@click.option("--resume", "resumed", metavar="RUN", default=None, help="Go on with a run (its name, or last).")
@click.option("--dry-run", is_flag=True, help="Print the plan, its number of cases and the time it will take.")
@shared.json_option
@click.pass_context
def run(
    context: click.Context,
    device_names: tuple[str, ...],
    expressions: tuple[str, ...],
    backend_names: str | None,
    options: tuple[str, ...],
    threads: list[int] | None,
    precisions: tuple[str, ...],
    max_loss: float,
    calibration: str | None,
    profile: str,
    minutes: float | None,
    target_ci: float | None,
    max_minutes: float | None,
    fixed: bool,
    weights: Weights,
    optimize: str,
    given: Given,
    dataset: str | None,
    samples: int | None,
    strict: bool,
    no_control: bool,
    seed: int | None,
    wait_s: float,
    patience_s: float,
    reconnect_s: float,
    workers: int,
    resumed: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure models under every runtime on one or more devices.

    Each case is measured in several restarts (fresh processes), interleaved in random order. Everything finished is on
    disk at once: after an interruption, go on with --resume.
    """
    from harness.fleet import devices as fleet
    from harness.run import start as runs
    from models.export.precision.calibration import of_dataset
    from models.sources.selection import resolve

    if resumed is not None:
        _refuse_new_choices(context)
    workspace = shared.open_workspace()
    known = shared.load_fleet()
    manners = Manners(wait_s, patience_s, reconnect_s)
    if resumed is not None:
        context.exit(go_on(workspace.find_run(resumed), known, workspace, manners, as_json=as_json))
    measured, stopping = profiles.planned(profile, minutes, target_ci, max_minutes, fixed=fixed)
    sources = resolve(expressions or ("quick",), given, weights, optimize)
    chosen = fleet.choose(known, device_names)
    request = runs.RunRequest(
        devices=[device.model_copy(update={"strict": True}) for device in chosen] if strict else chosen,
        models=sources,
        backends=choices(backend_names, options),
        profile=measured,
        stopping=stopping,
        threads=threads,
        precisions=PRECISIONS if "auto" in precisions else precisions,
        calibration=None if calibration is None else of_dataset(calibration),
        max_loss=max_loss if "auto" in precisions else None,
        seed=seed,
        command=tuple(kept(argument) for argument in sys.argv[1:]),
        accuracy=shared.asked_accuracy(dataset, samples, sources, is_quick=profile == "quick"),
        control=not no_control,
    )
    context.exit(measure(request, workspace, manners, workers=workers, dry_run=dry_run, as_json=as_json))


def go_on(run_id: str, known: dict[str, Device], workspace: Workspace, manners: Manners, *, as_json: bool) -> int:
    """Take a run up where it was cut off, on the devices of these that it needs; return the exit code."""
    from harness.cli.display import Display
    from harness.fleet import devices as fleet
    from harness.run import start as runs

    with Display() as display:
        started, artifacts = runs.resume(run_id, workspace, manners, display.watch)
        devices = [fleet.find(known, name) for name in started.devices if started.is_open(name)]
        document = _execute(started, devices, artifacts, display)
    return _conclude(started, document, as_json=as_json)


def measure(
    request: RunRequest, workspace: Workspace, manners: Manners, *, workers: int, dry_run: bool, as_json: bool
) -> int:
    """Carry a run out, or print its plan; return the exit code."""
    from harness.cli.display import Display
    from harness.cli.plan import print_plan
    from harness.run import start as runs

    runs.check(request)
    if dry_run:
        print_plan(request, workspace, as_json=as_json)
        return 0
    with Display() as display:
        started, artifacts = runs.start(request, workspace, manners, display.watch, display.preparing, workers)
        document = _execute(started, request.devices, artifacts, display)
    return _conclude(started, document, as_json=as_json)


def _refuse_new_choices(context: click.Context) -> None:
    """Raise UsageError for an option beside --resume that would change what is measured: it would do nothing."""
    typed = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in _BESIDE_RESUME
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if typed:
        raise click.UsageError(f"--resume goes on with what the run set out to measure; leave out {', '.join(typed)}")


def kept(argument: str) -> str:
    """Return an argument as far as a run's header keeps it."""
    return argument.encode("utf-8", "replace").decode()[:4096]


def choices(names: str | None, options: Sequence[str]) -> list[BackendChoice]:
    """Return the backends with their options. Raises UnknownBackend, BadParameter."""
    from harness.run.plan import BackendChoice

    given: dict[str, dict[str, str]] = {name: {} for name in shared.backend_names(names)}
    for option in options:
        key, equals, value = option.partition("=")
        backend, dot, name = key.partition(".")
        if not (equals and dot and name):
            raise click.BadParameter(f"{option!r} is not BACKEND.KEY=VALUE", param_hint="--backend-option")
        if backend not in given:
            raise click.BadParameter(
                f"{option!r}: {backend!r} is not among the backends", param_hint="--backend-option"
            )
        given[backend][name] = value
    return [BackendChoice(name, chosen) for name, chosen in given.items()]


def _execute(run: Run, devices: Sequence[Device], artifacts: dict[str, Artifact], display: Display) -> RunDocument:
    """Measure, and write the document whatever happens."""
    from harness.executors.local import LocalExecutor
    from results.errors import ResultsError

    steps = sum(len(run.todo(device)) + len(run.unevaluated(device)) for device in run.devices)
    display.measuring(run.header.cases, steps)
    try:
        run.execute(devices, artifacts, LocalExecutor())
    except KeyboardInterrupt:
        run.finish()
        display.say(f"bench: interrupted; go on with: bench run --resume {run.header.run_id}")
        click.get_current_context().exit(shared.INTERRUPTED)
    except BaseException:
        # The error itself says what to do; that the document cannot be written either would only hide it.
        with suppress(ResultsError):
            run.finish()
        raise
    return run.finish()


def _conclude(run: Run, document: RunDocument, *, as_json: bool) -> int:
    """Index the run, write its page, print its table, that always; return the exit code."""
    from dashboards.page import write_page
    from results.errors import ResultsError
    from results.judge.change import control
    from results.judge.summary import rows as summarize
    from results.store import Store

    rows, moved = summarize(document), []
    asked, controls = control.apart(rows)
    page = run.folder / "report.html"
    problem = None
    try:
        with closing(Store(run.workspace.index)) as store:
            if controls:
                moved = control.since(store.latest(), store.rows(model=controls[0].model), rows)
            store.add(document)
        write_page(rows, page, profile=document.header.profile.name)
    except ResultsError as exc:
        problem = exc
    shared.print_rows(rows, as_json=as_json)  # last: nobody may be reading any more
    if problem is not None:
        raise ResultsError(
            f"{problem}. What was measured is kept; once that is mended: bench report --run {run.header.run_id}"
        ) from problem
    click.echo(f"Run {run.header.run_id}; Pareto page: {page}", err=as_json)
    for line in moved:
        shared.say(f"bench: {line}", err=as_json)
    away, lost, unrated = [device for device in run.devices if run.is_open(device)], run.lost(), run.unrated()
    outcomes = {restart.outcome for restart in document.restarts} | {part.outcome for part in document.evaluations}
    has_measured = bool(outcomes - {"offline"})
    again = f"go on with: bench run --resume {run.header.run_id}"
    if away:
        much = "not everything" if has_measured else "nothing"
        shared.say(f"bench: {much} was measured; busy or offline: {', '.join(away)}; {again}", err=True)
    if lost:
        cases = "1 case" if len(lost) == 1 else f"{len(lost)} cases"
        shared.say(f"bench: some restarts of {cases} failed, others did not; {again}", err=True)
    if unrated:
        cases = "1 case" if len(unrated) == 1 else f"{len(unrated)} cases"
        shared.say(f"bench: the accuracy of {cases} could not be measured to the end", err=True)
    if lost or unrated or _has_failed(asked):
        return shared.FAILED
    if not away:
        return 0
    return shared.GAPS if has_measured else shared.NOTHING_MEASURED


def _has_failed(rows: Sequence[Row]) -> bool:
    """Tell whether a case failed, or is less accurate than its reference allows, which is said."""
    from results.records import Verdict

    inaccurate = sum(row.evaluation is not None and bool(row.evaluation.check) for row in rows)
    if inaccurate:
        much = "1 row is" if inaccurate == 1 else f"{inaccurate} rows are"
        shared.say(f"bench: {much} less accurate than the reference allows", err=True)
    return inaccurate > 0 or any(row.verdict is Verdict.FAILED for row in rows)
