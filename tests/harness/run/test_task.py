"""A device's task carried out here, in other threads, and in another process: the same is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.executors.base import Executor
from harness.executors.local import LocalExecutor
from harness.fleet.devices import Device
from harness.run.plan import PROFILES, BackendChoice
from harness.run.runner import Run
from harness.run.start import RunRequest, begin, resume
from harness.run.tally import Tally
from harness.run.task import Manners, Message, Stepped
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from results import journal
from results.records import Restart, Stopping
from tests.harness.executors.fake import FakeExecutor
from tests.harness.executors.processes import ProcessExecutor
from tests.results.factory import make_case, make_lost, make_restart
from tests.rigs.bench import add_tiny


def begun(
    folder: Path,
    watched: list[Message],
    *devices: str,
    transport: str = "local",
    stopping: Stopping | None = None,
) -> tuple[Run, dict[str, Artifact], list[Device]]:
    workspace = Workspace(folder)
    tiny = add_tiny(ArtifactStore(workspace.artifacts), "onnx")
    model = Prepared(OwnModel("tiny", {}), {tiny.form: tiny})
    fleet = [Device.model_validate({"name": name, "transport": transport}) for name in devices]
    profile = PROFILES["quick"].model_copy(update={"min_seconds": 0.0, "warmup_min_seconds": 0.0})
    request = RunRequest(fleet, (), [BackendChoice("fake")], profile, threads=[1, 2], seed=1, stopping=stopping)
    run, artifacts = begin(request, [model], workspace, Manners(), watched.append)
    return run, artifacts, fleet


@pytest.mark.parametrize("executor", [FakeExecutor(), LocalExecutor(), ProcessExecutor()])
def test_what_is_measured_is_on_disk_before_it_is_shown(tmp_path: Path, executor: Executor) -> None:
    shown: list[Message] = []
    run, artifacts, fleet = begun(tmp_path, shown, "one", "other")
    run.execute(fleet, artifacts, executor)
    assert sum(isinstance(message, Stepped) for message in shown) == 2 * 2 * 2
    restarts = [message for message in shown if isinstance(message, Restart)]
    assert [restart.outcome for restart in restarts] == ["ok"] * 8
    document = run.finish()
    assert document.finished_at is not None
    assert document == journal.read(run.folder)
    assert sorted(document.restarts, key=repr) == sorted(restarts, key=repr)


def test_a_restart_that_is_cut_off_is_not_recorded(tmp_path: Path) -> None:
    shown: list[Message] = []
    run, artifacts, fleet = begun(tmp_path, shown, "one")

    def stop(message: Message) -> None:
        shown.append(message)
        if isinstance(message, Restart):
            raise KeyboardInterrupt

    run.watch = stop
    with pytest.raises(KeyboardInterrupt):
        run.execute(fleet, artifacts, FakeExecutor())
    document = run.finish()
    assert document.finished_at is None
    assert len(document.restarts) == 1
    assert len(run.todo("one")) == 3


def test_hundreds_of_devices_take_turns(tmp_path: Path) -> None:
    shown: list[Message] = []
    names = [f"board-{number}" for number in range(300)]
    run, artifacts, fleet = begun(tmp_path, shown, *names, transport="simulated")
    run.execute(fleet, artifacts, LocalExecutor(side_by_side=16))
    document = run.finish()
    assert document.finished_at is not None
    assert {restart.outcome for restart in document.restarts} == {"ok"}
    assert len(document.restarts) == 300 * 2 * 2
    assert {path.stem for path in (run.folder / "devices").iterdir()} == set(names)


def test_a_resumed_run_adds_restarts_to_what_it_measures(tmp_path: Path) -> None:
    stopping = Stopping(target=1e-9, extra=1.0, repeats=0)
    run, artifacts, fleet = begun(tmp_path, [], "one", stopping=stopping)
    measured: list[Message] = []

    def stop(message: Message) -> None:
        measured.extend([message] if isinstance(message, Restart) else [])
        if len(measured) == 3:
            raise KeyboardInterrupt

    run.watch = stop
    with pytest.raises(KeyboardInterrupt):
        run.execute(fleet, artifacts, FakeExecutor())
    run.finish()
    again, artifacts = resume(run.header.run_id, run.workspace, Manners(), lambda _: None)
    ((_, left),) = again.todo("one")
    again.execute(fleet, artifacts, FakeExecutor())
    made = again.finish().restarts
    assert sorted(one.round for one in made if one.case_id == left.case_id) == [0, 1, 2]
    assert sorted(one.round for one in made if one.case_id != left.case_id) == [0, 1]


def test_what_fails_after_others_disturbed_it_is_not_given_up() -> None:
    case = make_case()
    tally = Tally()
    tally.add(make_restart(case, 0))
    tally.add(make_lost(case, 0).model_copy(update={"attempt": 1}))
    assert tally.is_open(1, case)
    tally.add(make_lost(case, 1).model_copy(update={"attempt": 1}))
    assert not tally.is_open(2, case)
