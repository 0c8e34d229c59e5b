"""`bench doctor`: what a device does by itself, what it can therefore find, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.run.doctor import Examination, Examined, Request
    from harness.run.native import Native
    from models.given import Given
    from models.sources.base import Prepared
    from results.judge.change.fitness import Fitness


@click.command()
@click.option("--device", "device_name", default="local", show_default=True, help="One device of devices.toml.")
@click.option("--model", "expression", default=None, help="One model, as for bench run (default: the control).")
@shared.backends_options
@click.option(
    "--measurements",
    type=click.IntRange(4, 50),
    default=6,
    show_default=True,
    metavar="N",
    help="How often it is measured under each runtime, 5 restarts each time.",
)
@click.option("--profile", default="standard", show_default=True, type=click.Choice(["quick", "standard"]))
@click.option(
    "--against",
    type=click.Choice(["native"]),
    default=None,
    help="Measure the same artifact by the runtimes' own tools, too, where they have one.",
)
@shared.given_options
@shared.wait_option
@shared.patience_option
@shared.json_option
@click.pass_context
def doctor(
    context: click.Context,
    device_name: str,
    expression: str | None,
    backend_names: str | None,
    options: tuple[str, ...],
    measurements: int,
    profile: str,
    against: str | None,
    given: Given,
    wait_s: float,
    patience_s: float,
    as_json: bool,
) -> None:
    """Measure one model on a device again and again: is the device fit to find a slowdown of 5 %?

    Tells its noise, how often nothing is called a slowdown, the smallest one that is found, and what to do. Changes
    nothing on the device, and leaves no results. Exits with 1 when 5 % is not found in 90 % of nights.
    """
    from harness.cli.display import Display
    from harness.cli.run import choices
    from harness.fleet import devices as fleet
    from harness.link.manners import Manners
    from harness.run import doctor as examination
    from harness.run.plan import PROFILES

    workspace = shared.open_workspace()
    request = examination.Request(
        device=fleet.find(shared.load_fleet(), device_name),
        backends=choices(backend_names, options),
        profile=PROFILES[profile],
        measurements=measurements,
        manners=Manners(wait_s, patience_s),
        against_native=against == "native",
    )
    with Display() as display:
        model = _prepared(expression, given, workspace, display)
        cases = examination.plan_cases(request, model, workspace)
        display.measuring([case for one in cases for case in one.both], examination.steps(request, cases))
        found = examination.examine(request, model, cases, workspace, display.watch)
    problem = _problem(found.cases)
    if as_json:
        shared.print_json(doctor=_tree(request, model, found, problem))
    else:
        for line in _lines(request, model, found, problem):
            shared.say(line)
    measured = any(one.fitness is not None for one in found.cases)
    context.exit(shared.NOTHING_MEASURED if not measured else shared.FAILED if problem else 0)


def _prepared(expression: str | None, given: Given, workspace: Any, display: Any) -> Prepared:
    """Return the one model that is named, its files made. Raises UsageError, ModelError."""
    from models.prepare import prepare
    from models.sources.control import ControlModel
    from models.sources.selection import resolve
    from models.store import ArtifactStore

    sources = [ControlModel()] if expression is None else resolve((expression,), given)
    if len(sources) != 1:
        raise click.UsageError(f"{expression}: {len(sources)} models; name one")
    (prepared,) = prepare(sources, ArtifactStore(workspace.artifacts), on_event=display.preparing)
    return prepared


def _problem(examined: Sequence[Examined]) -> str:
    """Why the device is not fit, of the first runtime for which it is not; "" where it is for all that ran."""
    measured = [(one.case.backend, one.fitness) for one in examined if one.fitness is not None]
    if not measured:
        return "nothing was measured"
    return next((f"{name}: {found.problem}" for name, found in measured if found.problem), "")


def _tree(request: Request, model: Prepared, found: Examination, problem: str) -> dict[str, Any]:
    return {
        "device": request.device.name,
        "model": model.name,
        "profile": request.profile.name,
        "fit": not problem,
        "problem": problem,
        "backends": [
            {
                "backend": one.case.backend,
                "version": one.version,
                "threads": one.case.threads,
                "options": one.case.options,
                "reason": one.reason,
                **({} if one.fitness is None else {"fit": one.fitness.is_fit, **asdict(one.fitness)}),
                **({} if one.native is None else {"native": asdict(one.native)}),
            }
            for one in found.cases
        ],
        "knobs": [asdict(knob) for knob in found.knobs],
    }


def _lines(request: Request, model: Prepared, found: Examination, problem: str) -> Iterator[str]:
    name = request.device.name
    yield f"{name}: not fit to find a slowdown of 5%: {problem}" if problem else f"{name}: finds a slowdown of 5%"
    often = f"{request.measurements} times {request.measured.restarts} restarts of the profile {request.profile.name}"
    yield f"  {model.name}, measured {often}"
    for one in found.cases:
        yield f"  {one.version or one.case.backend}{f': {one.reason}' if one.reason else ''}"
        for label, words in _facts(one.fitness) if one.fitness is not None else ():
            yield f"    {label:<15} {words}"
        if one.native is not None:
            yield f"    {'its own tool':<15} {_beside(one.native, one.fitness)}"
    yield "  knobs"
    for knob in found.knobs:
        yield f"    {knob.name:<15} {knob.now}"
        for sentence in knob.todo:
            yield f"      to do: {sentence}"


def _facts(found: Fitness) -> Iterator[tuple[str, str]]:
    yield "median", _or_unknown("{:.4g} ms", found.median_ms)
    restarts, measurements = (_or_unknown("{:.1%}", one) for one in (found.spread, found.floor))
    yield "noise", f"restarts spread by {restarts}, measurements by {measurements}"
    yield (
        "other work",
        f"took {_or_unknown('{:.1%}', found.lost_share)} of the time; of {found.restarts} restarts "
        f"{found.contended} contended, {found.throttled} throttled, {found.failed} without numbers",
    )
    yield "valid", f"{found.valid} of {found.measurements} measurements"
    for reason in found.reasons:
        yield "", reason
    if found.comparisons:
        yield "false alarms", f"{found.alarms} in {found.comparisons} comparisons of measurements with one another"
    if found.found is not None:
        smallest = "no slowdown" if found.smallest is None else f"a slowdown of {found.smallest:.1%}"
        yield "finds", f"{smallest} in 90% of nights, one of 5% in {found.found:.0%} (5 restarts against 15)"
    if found.restarts_needed is not None:
        yield "for ±1%", f"{found.restarts_needed} restarts"


_LOST = 0.02
"""Of the time; where other work took more, the tool's inferences are disturbed too, and nobody knows which."""


def _beside(native: Native, fitness: Fitness | None) -> str:
    if native.ratio is None:
        return f"{native.tool}: {native.reason}" if native.tool else native.reason
    lost = fitness.lost_share or 0.0 if fitness is not None else 0.0
    much = f"; other work took {lost:.0%} of the time, so this says little" if lost > _LOST else ""
    return (
        f"{native.tool} says {native.tool_ms:.4g} ms, bench {native.bench_ms:.4g} ms of all inferences: "
        f"ratio {native.ratio:.3f} (in {native.restarts} rounds {native.least:.3f} to {native.most:.3f}){much}"
    )


def _or_unknown(words: str, value: float | None) -> str:
    return "an unknown amount" if value is None else words.format(value)
