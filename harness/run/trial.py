"""What a run would make of model files: each is prepared as for a run, loaded and run once under every runtime.

The same preparation, plan, agent and judgment as of a run, on this machine, with a profile of one inference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.executors.base import Stop
from harness.fleet.devices import LOCAL
from harness.link.manners import Manners
from harness.run import plan, start
from harness.run.checked import Checked, Status, Tried, bad, good
from harness.run.plan import BackendChoice
from harness.run.tally import ATTEMPTS, Tally
from harness.run.task import DeviceTask, Message, carry_out
from harness.workspace import Workspace, new_run_id
from models.artifacts import Artifact
from models.prepare import Progress, prepare
from models.sources.base import Source
from models.store import ArtifactStore
from results.judge.placement import fallback
from results.judge.validity import judge_restart
from results.records import Case, DeviceSeen, Profile, Restart

# One inference beside the first: what a runtime does at the second one may differ.
ONCE = Profile(
    name="check",
    restarts=1,
    min_iterations=1,
    min_seconds=0,
    max_seconds=1e-3,
    warmup_min_iterations=1,
    warmup_min_seconds=0,
    warmup_max_seconds=1e-3,
)


@dataclass(frozen=True)
class Request:
    """What is to be checked, under which backends."""

    models: Sequence[Source]
    backends: Sequence[BackendChoice]
    manners: Manners


def check(
    request: Request,
    workspace: Workspace,
    on_event: Callable[[Progress], None] = lambda _: None,
    watch: Callable[[Message], None] = lambda _: None,
    workers: int = 2,
) -> list[Checked]:
    """Prepare and try every file; a bad one does not stop the others. Raises ModelError for what was mistyped."""
    store = ArtifactStore(workspace.artifacts)
    prepared = prepare(request.models, store, workers=workers, on_event=on_event, alone_is_fatal=False)
    models = [start.planned(model) for model in prepared]
    artifacts = start.by_file(prepared)
    cases = [
        case
        for case in plan.build_cases([LOCAL], models, request.backends, [1])
        if case.unsupported is None and case.artifact_format is not None
    ]
    restarts, versions = _tried(request, workspace, cases, artifacts, watch)
    found: dict[tuple[str, ...], list[Tried]] = {}
    for case in cases:
        key = (case.model, str(case.artifact_format), case.precision, case.method)
        found.setdefault(key, []).append(_judged(case, restarts.get(case.case_id), versions))
    return [
        checked
        for model in prepared
        for checked in [
            *(bad(model, form, error) for form, error in model.errors.items()),
            *(good(model, made, tuple(found.get((model.name, *form), ()))) for form, made in model.artifacts.items()),
        ]
    ]


def _tried(
    request: Request,
    workspace: Workspace,
    cases: Sequence[Case],
    artifacts: Mapping[tuple[str, ...], Artifact],
    watch: Callable[[Message], None],
) -> tuple[dict[str, Restart], dict[str, str | None]]:
    """Run every case once, each in a process of its own; return case_id -> restart, and backend -> version."""
    restarts: dict[str, Restart] = {}
    versions: dict[str, str | None] = {}

    def take(message: Message) -> None:
        if isinstance(message, Restart):
            restarts[message.case_id] = message
        elif isinstance(message, DeviceSeen):
            versions.update(message.backends)
        else:
            watch(message)

    task = DeviceTask(
        run_id=f"check-{new_run_id()}",
        workspace=workspace,
        device=LOCAL,
        cases=cases,
        artifacts={
            case.case_id: artifacts[case.model, case.artifact_format, case.precision, case.method]
            for case in cases
            if case.artifact_format is not None
        },
        profile=ONCE,
        seed=0,
        # What fails does not run: it is not tried again.
        tally=Tally(failed={(case.case_id, 0): ATTEMPTS - 1 for case in cases}),
        manners=request.manners,
    )
    carry_out(task, take, Stop())
    return restarts, versions


def _judged(case: Case, restart: Restart | None, versions: Mapping[str, str | None]) -> Tried:
    version = versions.get(case.backend)
    if restart is None:
        return Tried(backend=case.backend, version=version, status="failed", reason="it was not tried")
    judgment = judge_restart(restart, case, ONCE)
    statuses: dict[str, Status] = {"failed": "failed", "unsupported": "unsupported", "offline": "busy"}
    status: Status = statuses.get(judgment.verdict.value, "runs")
    if judgment.cause == "wrong-output":
        status = "wrong"
    elif status == "unsupported" and case.backend in versions and version is None:
        status = "not installed"
    compute, left = (_counts(restart.actual.get(key)) for key in ("compute", "left"))
    return Tried(
        backend=case.backend,
        version=version,
        status=status,
        reason=judgment.reason,
        verified=restart.verified,
        max_abs_diff=restart.max_abs_diff,
        snr_db=restart.snr_db,
        unverified=restart.unverified,
        load_ns=restart.load_ns,
        first_ns=restart.first_ns,
        peak_rss_bytes=restart.peak_rss_bytes,
        compute=compute,
        left=left,
        fallback=fallback(restart.actual),
        actual=restart.actual,
    )


def _counts(said: Any) -> dict[str, int]:
    return {str(key): count for key, count in said.items() if type(count) is int} if isinstance(said, dict) else {}
