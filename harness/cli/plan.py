"""`bench run --dry-run`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.run.chosen import PlannedModel
    from harness.run.start import RunRequest
    from harness.workspace import Workspace
    from models.prepare import Prepared
    from results.records import Case, InputSpec, Row, Stopping


# What an inference is taken to last of which nothing is known.
_IMAGE_MS = 5.0


def print_plan(request: RunRequest, workspace: Workspace, *, as_json: bool) -> None:
    """Print cases, what is known of their inputs, restarts and the expected time."""
    from harness.jobs.latency import expected_seconds
    from harness.run import plan
    from harness.run import start as runs

    models = runs.look_up(request, workspace)
    planned = {model.name: runs.planned(model) for model in models}
    cases = plan.build_cases(
        request.devices, list(planned.values()), request.backends, request.threads, request.precisions
    )
    controls = plan.control_cases(request.devices, runs.planned_control(request), request.backends, cases)
    steps = plan.schedule(cases, request.profile, seed=0)
    with closing(shared.open_store(workspace)) as store:
        known = {_alike(row): row.median_ms for row in store.latest()}
    by_device: dict[str, float] = {}
    for _, case in (*steps, *plan.schedule(controls, request.profile, seed=0)):
        seconds = expected_seconds(request.profile, known.get(_alike(case)))
        by_device[case.device] = by_device.get(case.device, 0.0) + seconds
    rated = _rated(request, cases, models)
    for case in rated:
        latency_ms = known.get(_alike(case)) or _IMAGE_MS
        by_device[case.device] = by_device.get(case.device, 0.0) + _images(request) * latency_ms / 1000
    to_export = [model.name for model in models if model.targets]
    seconds = max(by_device.values(), default=0.0) + sum(map(runs.preparing_seconds, models))
    made = runs.by_file(models)
    inputs = {
        case.case_id: artifact.inputs for case in cases if (artifact := made.get(plan.file_key(case))) is not None
    }
    if as_json:
        shared.print_json(
            cases=[_described(case, inputs.get(case.case_id, ())) for case in cases],
            restarts=len(steps),
            controls=[_described(case, ()) for case in controls],
            images=_images(request) * len(rated),
            to_export=to_export,
            expected_seconds=round(seconds, 1),
        )
        return
    _print_cases(cases, planned, inputs)
    if to_export:
        click.echo(f"To be prepared first: {', '.join(to_export)}")
    if controls:
        of = dict.fromkeys(f"{case.backend} on {case.device}" for case in controls)
        shared.say(f"In every round the control, too (--no-control leaves it out): {', '.join(of)}")
    images = f", {_images(request)} images of {len(rated)} cases" if rated else ""
    more = _added(request.stopping, len({case.case_id for _, case in steps}))
    click.echo(
        f"{len(cases)} cases, {len(steps)} restarts{more} (profile {request.profile.name})"
        f"{images}, about {_duration(seconds)}. Nothing was run."
    )


_FIELDS = {"device", "model", "backend", "precision", "method", "threads", "options", "artifact_format", "unsupported"}


def _described(case: Case, inputs: Sequence[InputSpec]) -> dict[str, Any]:
    told = case.model_dump(mode="json", include=_FIELDS)
    return {**told, "inputs": [spec.model_dump(mode="json") for spec in inputs]}


def _print_cases(
    cases: Sequence[Case], planned: Mapping[str, PlannedModel], inputs: Mapping[str, Sequence[InputSpec]]
) -> None:
    """Print a line for each case, and what would be made up of the inputs of each model."""
    from dashboards import fed
    from harness.run import plan

    for case in cases:
        failure = plan.export_failure(case, planned[case.model])
        note = f"failed: {failure}" if failure else case.artifact_format
        note = f"unsupported: {case.unsupported}" if case.unsupported else note
        shapes = f"  {fed.shapes(inputs[case.case_id])}" if case.case_id in inputs else ""
        shared.say(
            f"{case.device}  {case.model}  {case.backend}  {_precision(case)}{case.threads} thread(s)  {note}{shapes}"
        )
    guesses = {(case.model, fed.made_up(inputs.get(case.case_id, ()))): None for case in cases}
    for model, words in guesses:
        if words:
            shared.say(f"made up {model}: {words}")


def _added(stopping: Stopping | None, cases: int) -> str:
    """How many restarts may be added where they are needed, which the expected time does not count."""
    if stopping is None:
        return ""
    if stopping.max_minutes is not None:
        return f", more where needed until {stopping.max_minutes:g} min are over"
    most = int(stopping.extra * cases)
    return f" and up to {most} more where needed" if most else ""


def _images(request: RunRequest) -> int:
    """How many images each case evaluates whose accuracy is measured."""
    return request.accuracy.count if request.accuracy else 0


def _rated(request: RunRequest, cases: Sequence[Case], models: Sequence[Prepared]) -> list[Case]:
    """Return the cases whose accuracy will be measured, as far as is known before their files are made."""
    from harness.run import plan
    from harness.run import start as runs
    from harness.run.datasets import why_not

    if request.accuracy is None:
        return []
    made = runs.by_file(models)
    random = {model.name for model in models if model.source.weights == "random"}
    runnable = [case for case in cases if case.unsupported is None and case.model not in random]
    return [
        case
        for case in runnable
        if (artifact := made.get(plan.file_key(case))) is None or not why_not(artifact, request.accuracy.dataset)
    ]


def _alike(case: Case | Row) -> tuple[str | int, ...]:
    """What takes about as long."""
    return (case.device, case.model, case.backend, case.threads, case.precision, case.method)


def _precision(case: Case) -> str:
    """What is not plain fp32."""
    words = f"{case.precision} {case.method}".strip()
    return "" if words == "fp32" else f"{words}  "


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
