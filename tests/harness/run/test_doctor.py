"""A device examined: the same restarts as of a run, told as measurements, and how its knobs stand."""

from __future__ import annotations

from pathlib import Path

from harness.fleet.devices import LOCAL
from harness.link.manners import Manners
from harness.run import doctor, plan
from harness.run.doctor import Examination, Request
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from models.prepare import prepare
from models.sources.control import ControlModel
from models.store import ArtifactStore
from results.judge.device.knobs import KNOBS
from results.records import Profile, Restart

SHORT = plan.PROFILES["quick"].model_copy(
    update={"min_iterations": 5, "min_seconds": 0.0, "warmup_min_iterations": 1, "warmup_min_seconds": 0.0}
)


def examined(folder: Path, backend: str, profile: Profile = SHORT) -> tuple[Examination, list[Restart]]:
    workspace = Workspace(folder)
    (model,) = prepare([ControlModel()], ArtifactStore(workspace.artifacts))
    request = Request(LOCAL, [BackendChoice(backend)], profile, 1, Manners())
    made: list[Restart] = []
    cases = doctor.plan_cases(request, model, workspace)
    found = doctor.examine(
        request, model, cases, workspace, lambda message: made.append(message) if isinstance(message, Restart) else None
    )
    return found, made


def test_a_measurement_has_the_restarts_of_the_standard_profile_and_leaves_no_run(tmp_path: Path) -> None:
    found, made = examined(tmp_path, "onnxruntime")
    (case,) = found.cases
    assert case.fitness is not None, case.reason
    assert case.fitness.restarts == len(made) >= 5
    assert case.fitness.measurements == 1
    assert "4 are needed" in case.fitness.problem
    assert case.version is not None
    assert case.version.startswith("onnxruntime ")
    assert [knob.name for knob in found.knobs] == [knob(doctor.Told(made[0].telemetry_before)).name for knob in KNOBS]
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_measured_has_a_reason(tmp_path: Path) -> None:
    found, made = examined(tmp_path, "benchmark_model")
    (case,) = found.cases
    assert case.fitness is None
    assert "is no program" in case.reason
    assert len(made) == 1
