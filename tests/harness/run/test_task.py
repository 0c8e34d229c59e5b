"""A device's task carried out here, in other threads, and in another process: the same is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.executors.base import Executor
from harness.executors.local import LocalExecutor
from harness.fleet.devices import Device
from harness.run.plan import PROFILES, BackendChoice
from harness.run.runner import Run
from harness.run.start import RunRequest, begin
from harness.run.task import Manners, Message, Stepped
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from results import journal
from results.records import Restart
from tests.harness.executors.fake import FakeExecutor
from tests.harness.executors.processes import ProcessExecutor
from tests.rigs.bench import add_tiny


def begun(
    folder: Path, watched: list[Message], *devices: str, transport: str = "local"
) -> tuple[Run, dict[str, Artifact], list[Device]]:
    workspace = Workspace(folder)
    tiny = add_tiny(ArtifactStore(workspace.artifacts), "onnx")
    model = Prepared(OwnModel("tiny", {}), {tiny.form: tiny})
    fleet = [Device.model_validate({"name": name, "transport": transport}) for name in devices]
    profile = PROFILES["quick"].model_copy(update={"min_seconds": 0.0, "warmup_min_seconds": 0.0})
    request = RunRequest(fleet, (), [BackendChoice("fake")], profile, threads=[1, 2], seed=1)
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
