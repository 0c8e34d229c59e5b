"""`bench models diff`: from a wrong output to the operator that makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli import shared
from harness.link.manners import Manners

if TYPE_CHECKING:
    from harness.fleet.devices import Device
    from harness.run.diff import Side
    from harness.run.plan import BackendChoice
    from models.artifacts import Artifact
    from models.given import Given
    from models.sources.base import Prepared, Weights


@click.command()
@click.argument("expression", metavar="MODEL")
@click.option(
    "--backend",
    "named",
    multiple=True,
    required=True,
    metavar="NAME[:KEY=VALUE,…]",
    help="Given twice: A, the one that is right, and B; options follow a colon.",
)
@click.option(
    "--device",
    "device_names",
    multiple=True,
    default=("local",),
    show_default="local",
    help="Where both run; given twice, where A and where B runs.",
)
@click.option(
    "--threshold",
    "threshold_db",
    type=click.FloatRange(0, 200),
    default=None,
    metavar="DB",
    help="Ratio of signal to noise below which tensors part (default: from the tolerance, 60 for fp32).",
)
@shared.weights_option
@shared.given_options
@shared.wait_option
@shared.patience_option
@shared.json_option
@click.pass_context
def diff(
    context: click.Context,
    expression: str,
    named: tuple[str, ...],
    device_names: tuple[str, ...],
    threshold_db: float | None,
    weights: Weights,
    given: Given,
    wait_s: float,
    patience_s: float,
    as_json: bool,
) -> None:
    """Find the first tensors of MODEL, a file or a name, where two runtimes or precisions part.

    Both compute every tensor from the same input (accumulated), and B each operator from A's tensors (single). Exits
    with 1 when any part.
    """
    from harness.cli.diff_report import show, tree
    from harness.cli.display import Display
    from harness.fleet import devices as fleet
    from harness.run.diff import default_threshold_db
    from harness.run.diff import diff as compare_both
    from models.prepare import prepare
    from models.sources.selection import resolve
    from models.store import ArtifactStore

    choices = _choices(named)
    known = shared.load_fleet()
    devices = [fleet.find(known, name) for name in device_names]
    if len(devices) > 2:
        raise click.UsageError("--device is given once or twice: where both run, or where A and where B runs")
    workspace = shared.open_workspace()
    with Display() as display:
        sources = resolve((expression,), given, weights)
        if len(sources) != 1:
            raise click.UsageError(f"{expression}: {len(sources)} models; name one")
        (prepared,) = prepare(sources, ArtifactStore(workspace.artifacts), on_event=display.preparing)
    artifact = _artifact(prepared, [choice.backend for choice in choices])
    sides = _side(choices[0], devices[0]), _side(choices[1], devices[-1])
    threshold_db = default_threshold_db(artifact) if threshold_db is None else threshold_db
    report = compare_both(artifact, sides, threshold_db, workspace, Manners(wait_s, patience_s), _say)
    if as_json:
        shared.print_json(diff=tree(report))
    else:
        show(report)
    context.exit(0 if report.agrees else shared.FAILED)


def _say(text: str) -> None:
    shared.say(f"bench: {text}", err=True)


def _choices(named: Sequence[str]) -> tuple[BackendChoice, BackendChoice]:
    """Return the two backends with their options. Raises UnknownBackend, UsageError."""
    import backends
    from harness.run.plan import BackendChoice

    found = []
    for text in named:
        name, colon, rest = text.partition(":")
        pairs = [pair.partition("=") for pair in rest.split(",")] if colon else []
        if not all(key and equals for key, equals, _ in pairs):
            raise click.BadParameter(f"{text!r} is not NAME or NAME:KEY=VALUE,KEY=VALUE", param_hint="--backend")
        if not backends.find(name).shows_outputs:
            raise click.BadParameter(f"{name} measures by itself and hands out no tensors", param_hint="--backend")
        found.append(BackendChoice(name, {key: value for key, _, value in pairs}))
    if len(found) != 2:
        raise click.UsageError("--backend is given twice: the runtime that is right, and the other one")
    return found[0], found[1]


def _side(choice: BackendChoice, device: Device) -> Side:
    """A backend there, with what devices.toml says of it."""
    from harness.run.diff import Side
    from harness.run.plan import BackendChoice

    options = {**device.backend_options.get(choice.backend, {}), **choice.options}
    return Side(BackendChoice(choice.backend, options), device)


def _artifact(prepared: Prepared, names: Sequence[str]) -> Artifact:
    """Return the file that both read, the first choice of A. Raises NothingToRun."""
    import backends
    from harness.errors import NothingToRun

    there = {artifact.format: artifact for artifact in reversed(prepared.artifacts.values())}
    readable = [backends.find(name).formats for name in names]
    for kind in readable[0]:
        if kind in readable[1] and kind in there:
            return there[kind]
    for form, reason in prepared.failures.items():
        if all(form.format in formats for formats in readable):
            raise NothingToRun(reason)
    reads = "; ".join(f"{name} reads {' and '.join(formats)}" for name, formats in zip(names, readable, strict=True))
    raise NothingToRun(
        f"both must read one file, whose tensors are compared: {reads}; the model is there as {' and '.join(there)}"
    )
