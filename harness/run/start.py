"""From what the user asked for to a `Run` that is ready: models prepared, cases planned, journal begun."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata

import backends
from harness.errors import NothingToRun
from harness.fleet.devices import Device
from harness.link.manners import Manners
from harness.run import chosen, datasets, plan, tools
from harness.run.chosen import Files, PlannedModel
from harness.run.datasets import AccuracyRequest, Assigned
from harness.run.plan import BackendChoice
from harness.run.runner import Run
from harness.run.tally import ATTEMPTS
from harness.run.task import Message, Said
from harness.workspace import Workspace, new_run_id
from models import prepare
from models.artifacts import FORMATS, Artifact
from models.derived import Wanted
from models.errors import UnsupportedModel
from models.export.orders import DerivedTarget
from models.export.precision.calibration import CalibrationSource
from models.export.precision.methods import METHODS
from models.prepare import Prepared, Progress
from models.sources.base import Source
from models.sources.control import ControlModel
from models.store import ArtifactStore
from results import journal
from results.records import Case, Profile, Restart, RunDocument, RunHeader, Stopping, shortened


@dataclass(frozen=True)
class RunRequest:
    """What one `bench run` asks for."""

    devices: Sequence[Device]
    models: Sequence[Source]
    backends: Sequence[BackendChoice]
    profile: Profile
    threads: Sequence[int] | None = None
    seed: int | None = None
    command: Sequence[str] = ()
    precisions: Sequence[str] = ()
    max_loss: float | None = None
    calibration: CalibrationSource | None = None
    accuracy: AccuracyRequest | None = None
    stopping: Stopping | None = None
    control: bool = False

    @property
    def has_control(self) -> bool:
        """Whether the control is measured, too: not in a run without latencies, nor in one of a case at a time."""
        return self.control and self.profile.restarts > 0 and self.profile.name != "sustained"

    @property
    def wanted(self) -> Wanted:
        """What is to be made of fp32 files for the precisions and backends that were asked for."""
        wanted = {
            (kind, way.precision, way.method)
            for choice in self.backends
            for asked in self.precisions
            for way in chosen.ways(choice.backend, asked)
            for kind in way.formats or backends.find(choice.backend).formats
        }
        return Wanted(tuple(form for form in METHODS if form in wanted), self.calibration)


# About what one model's export to both formats takes, and another precision of one file; only for estimates.
_EXPORT_SECONDS, _DERIVED_SECONDS = 10.0, 10.0


def preparing_seconds(model: Prepared) -> float:
    """About how long it takes to make what is still missing of a model."""
    derived = sum(isinstance(target, DerivedTarget) for target in model.targets)
    return derived * _DERIVED_SECONDS + (_EXPORT_SECONDS if len(model.targets) > derived else 0.0)


def check(request: RunRequest) -> None:
    """Raise NothingToRun for a request without a case."""
    if not (request.devices and request.models and request.backends):
        raise NothingToRun("nothing to measure: no model, backend or device was chosen")


def look_up(request: RunRequest, workspace: Workspace) -> list[Prepared]:
    """Return the models with what is there of them and what would have to be made first. Raises ModelError."""
    return prepare.look_up(request.models, ArtifactStore(workspace.artifacts), request.wanted)


def by_file(models: Sequence[Prepared]) -> dict[tuple[str, ...], Artifact]:
    """Return every artifact that is there, by the key that `plan.file_key` gives the cases that run it."""
    return {(model.name, *form): artifact for model in models for form, artifact in model.artifacts.items()}


def planned(model: Prepared) -> PlannedModel:
    """Return a model as the plan sees it, whether or not everything of it is made already."""
    made = [
        Files(**form._asdict(), sha256=artifact.sha256, io_sha256=artifact.io_sha256)
        for form, artifact in model.artifacts.items()
    ]
    made += [Files(**target.form._asdict()) for target in model.targets]
    made += [
        Files(**form._asdict(), failure=str(error), is_unsupported=isinstance(error, UnsupportedModel))
        for form, error in model.errors.items()
    ]
    return PlannedModel(model.name, made)


def planned_control(request: RunRequest) -> list[PlannedModel]:
    """Return the control as the plan sees it while nothing of it is in the store, if it is to be measured."""
    return [PlannedModel(ControlModel().name, [Files(kind, "fp32") for kind in FORMATS])] if request.has_control else []


def start(
    request: RunRequest,
    workspace: Workspace,
    manners: Manners,
    watch: Callable[[Message], None],
    on_event: Callable[[Progress], None],
    workers: int,
) -> tuple[Run, dict[str, Artifact]]:
    """Make what artifacts are missing, begin the journal, and return the run with case_id -> artifact.

    Raises ModelError, ResultsError, ConfigError for an option that names a file that is not there.
    """
    kept = _with_kept_files(request, workspace)
    store = ArtifactStore(workspace.artifacts)
    prepared = prepare.prepare(request.models, store, workers=workers, on_event=on_event, wanted=request.wanted)
    return begin(kept, prepared, workspace, manners, watch)


def begin(
    request: RunRequest,
    prepared: Sequence[Prepared],
    workspace: Workspace,
    manners: Manners,
    watch: Callable[[Message], None] = lambda _: None,
) -> tuple[Run, dict[str, Artifact]]:
    """Plan the cases of what is prepared, begin the journal, and return the run with case_id -> artifact.

    Raises ResultsError.
    """
    models = {model.name: planned(model) for model in prepared}
    cases = plan.build_cases(
        request.devices, list(models.values()), request.backends, request.threads, request.precisions
    )
    control = _control(request, workspace)
    controls = plan.control_cases(request.devices, [planned(one) for one in control], request.backends, cases)
    artifacts = by_file([*prepared, *control])
    runnable = [case for case in (*cases, *controls) if case.artifact_format is not None]
    of_case = {case.case_id: artifacts[plan.file_key(case)] for case in runnable}
    assigned = _assigned(request, cases, of_case, workspace, watch)
    header = RunHeader(
        run_id=new_run_id(),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        bench_version=metadata.version("edgebench"),
        command=tuple(request.command),
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        profile=request.profile,
        stopping=request.stopping,
        host={"machine": platform.machine(), "os": platform.system(), "python": platform.python_version()},
        models=tuple(model.facts for model in (*prepared, *control)),
        artifacts=tuple(artifact.facts for artifact in artifacts.values()),
        datasets=assigned.datasets,
        cases=(*assigned.cases, *controls),
        max_loss=request.max_loss,
    )
    opened = journal.Journal.create(workspace.run_folder(header.run_id), header)
    workspace.run_ids()  # keeps the order of recording: the next run may have an earlier name, by a clock that is off
    run = Run(workspace, RunDocument(header=header, restarts=()), opened, manners, watch, assigned.sets)
    for case in cases:
        failure = plan.export_failure(case, models[case.model])
        if failure is not None:
            run.record(_export_failed(case, failure))
    return run, of_case


def _control(request: RunRequest, workspace: Workspace) -> list[Prepared]:
    """Return the control if it is to be measured, its files in the store. Raises ModelError."""
    return [ControlModel().look_up(ArtifactStore(workspace.artifacts))] if request.has_control else []


def _assigned(
    request: RunRequest,
    cases: Sequence[Case],
    artifacts: Mapping[str, Artifact],
    workspace: Workspace,
    watch: Callable[[Message], None],
) -> Assigned:
    """Return the cases with their data set, and say of which models the accuracy is not measured and why.

    Raises ModelError where images cannot be read or prepared, NothingToRun where accuracy alone was asked for and
    nothing can be measured.
    """
    if request.accuracy is None:
        return Assigned(tuple(cases))
    assigned = datasets.assign(request.accuracy, cases, artifacts, workspace, lambda text: watch(Said(text)))
    name = request.accuracy.dataset.name
    reasons = {case.model: case.unevaluated for case in assigned.cases if case.unevaluated}
    words = [f"{model}: {reason}" for model, reason in reasons.items()]
    if not request.profile.restarts and not assigned.sets:
        raise NothingToRun("; ".join(words) or f"no model can be evaluated on {name}: none could be made")
    for line in words:
        watch(Said(line))
    return assigned


def _with_kept_files(request: RunRequest, workspace: Workspace) -> RunRequest:
    """Return the request with the files that options name kept, see `harness.run.tools`. Raises ConfigError."""
    names = {choice.backend for choice in request.backends}

    def kept(device: Device) -> Device:
        chosen = {name: options for name, options in device.backend_options.items() if name in names}
        options = {name: tools.keep(workspace, name, given) for name, given in chosen.items()}
        return device.model_copy(update={"backend_options": options})

    return replace(
        request,
        devices=[kept(device) for device in request.devices],
        backends=[
            BackendChoice(one.backend, tools.keep(workspace, one.backend, one.options)) for one in request.backends
        ],
    )


def resume(
    run_id: str, workspace: Workspace, manners: Manners, watch: Callable[[Message], None]
) -> tuple[Run, dict[str, Artifact]]:
    """Take up a run where its journal ends. Raises ResultsError, ModelError when an artifact is gone or damaged."""
    folder = workspace.run_folder(run_id)
    opened = journal.Journal.reopen(folder)  # before it is read: nobody else may add to it any more
    document = journal.read(folder)
    for note in document.notes:
        watch(Said(note))
    opened.go_on(document.header)
    run = Run(workspace, document, opened, manners, watch)
    todo = {case.case_id: case for device in run.devices for _, case in run.todo(device)}
    rated = {case.case_id: case for device in run.devices for case in run.unevaluated(device)}
    asked = {case.dataset for case in rated.values()}
    run.use([datasets.stored(facts, workspace) for facts in document.header.datasets if facts.sha256 in asked])
    return run, _stored({**todo, **rated}, ArtifactStore(workspace.artifacts))


def _stored(cases: Mapping[str, Case], store: ArtifactStore) -> dict[str, Artifact]:
    """Return case_id -> the intact artifact with the very bytes the run began with."""
    known = {(artifact.sha256, artifact.io_sha256): artifact for artifact in store.all()} if cases else {}
    found = {}
    for case in cases.values():
        artifact = known.get((case.artifact_sha256 or "", case.io_sha256 or ""))
        if artifact is None or store.find(artifact.key) is None:
            sha = (case.artifact_sha256 or "")[:12]
            raise NothingToRun(
                f"the artifact {sha} of {case.model} that this run began with is gone or damaged; "
                "measure it anew with bench run"
            )
        found[case.case_id] = artifact
    return found


def _export_failed(case: Case, reason: str) -> Restart:
    """A case whose artifact could not be made is a failed row like any other."""
    return Restart(
        case_id=case.case_id,
        round=0,
        attempt=ATTEMPTS - 1,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        wall_ns=0,
        outcome="failed",
        cause="export",
        reason=shortened(f"export: {reason}"),
    )
