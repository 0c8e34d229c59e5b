"""`bench run --dry-run`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.run.start import RunRequest
    from harness.workspace import Workspace
    from models.artifacts import Artifact
    from results.records import Case, Row


def print_plan(request: RunRequest, workspace: Workspace, *, as_json: bool) -> None:
    """Print cases, what is known of their inputs, restarts and the expected time."""
    from dashboards import fed
    from harness.jobs.latency import expected_seconds
    from harness.run import plan
    from harness.run import start as runs

    models = runs.look_up(request, workspace)
    planned = {model.name: runs.planned(model) for model in models}
    cases = plan.build_cases(
        request.devices, list(planned.values()), request.backends, request.threads, request.precisions
    )
    steps = plan.schedule(cases, request.profile, seed=0)
    with closing(shared.open_store(workspace)) as store:
        known = {_alike(row): row.median_ms for row in store.latest()}
    by_device: dict[str, float] = {}
    for _, case in steps:
        seconds = expected_seconds(request.profile, known.get(_alike(case)))
        by_device[case.device] = by_device.get(case.device, 0.0) + seconds
    to_export = [model.name for model in models if model.targets]
    seconds = max(by_device.values(), default=0.0) + sum(map(runs.preparing_seconds, models))
    made: dict[tuple[str, ...], Artifact] = {
        (model.name, *form): artifact for model in models for form, artifact in model.artifacts.items()
    }
    inputs = {
        case.case_id: artifact.inputs for case in cases if (artifact := made.get(plan.file_key(case))) is not None
    }
    if as_json:
        fields = {
            "device",
            "model",
            "backend",
            "precision",
            "method",
            "threads",
            "options",
            "artifact_format",
            "unsupported",
        }
        shared.print_json(
            cases=[
                {
                    **case.model_dump(mode="json", include=fields),
                    "inputs": [spec.model_dump(mode="json") for spec in inputs.get(case.case_id, ())],
                }
                for case in cases
            ],
            restarts=len(steps),
            to_export=to_export,
            expected_seconds=round(seconds, 1),
        )
        return
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
    if to_export:
        click.echo(f"To be prepared first: {', '.join(to_export)}")
    click.echo(
        f"{len(cases)} cases, {len(steps)} restarts (profile {request.profile.name}), about {_duration(seconds)}. "
        "Nothing was run."
    )


def _alike(case: Case | Row) -> tuple[str | int, ...]:
    """What takes about as long."""
    return (case.device, case.model, case.backend, case.threads, case.precision, case.method)


def _precision(case: Case) -> str:
    """What is not plain fp32."""
    words = f"{case.precision} {case.method}".strip()
    return "" if words == "fp32" else f"{words}  "


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
