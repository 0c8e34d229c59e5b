"""What goes wrong while an accuracy is measured: every sample is evaluated once, and the same everywhere."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from harness.errors import NothingToRun
from harness.executors.local import LocalExecutor
from harness.jobs import accuracy as jobs
from harness.run import datasets
from harness.run.evaluating import Evaluating
from harness.run.start import resume
from harness.run.task import Manners, Message
from models.datasets.packed import pack
from results import journal
from results.records import Evaluation, RunDocument
from tests.harness.executors.fake import FakeExecutor
from tests.harness.run.test_accuracy import COUNT, begun, covered, predictions
from tests.harness.run.test_adb_run import make_host
from tests.harness.run.test_fleet_run import host
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.bench import Bench, written
from tests.rigs.images import CLASSES, MEAN, SIZE, STD, written_set
from tests.rigs.sshd import Sshd, marked
from tests.rigs.waiting import LIMIT_S, wait_until

TOML = f'[preprocessing]\ncrop = {SIZE}\nrule = "none"\nmean = {list(MEAN)}\nstd = {list(STD)}\n'
MANY = 1200
SLOW = ("--backends", "fake", "--backend-option", "fake.sleep_ms=1")
FEW = ("--backends", "onnxruntime", "--samples", "40")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 samples, in chunks of 16."""
    monkeypatch.setattr(jobs, "PART_SAMPLES", 8)
    monkeypatch.setattr(datasets, "pack", partial(pack, chunk_bytes=16 * SIZE * SIZE * 3))


def asking(bench: Bench, count: int = MANY) -> Bench:
    """With a data set, and a model that says what it wants to be fed."""
    bench.copy_model()
    (bench.folder / "tiny.toml").write_text(TOML)
    written_set(bench.folder / "set.npz", count)
    return bench


def begin(bench: Bench, *arguments: str) -> subprocess.Popen[str]:
    return bench.start("accuracy", "tiny.onnx", "--dataset", "set.npz", *arguments)


def parts(bench: Bench) -> int:
    journals = list(bench.workspace.glob("runs/*/journal.jsonl"))
    lines = [line for found in (written(journals[0].parent) if journals else {}).values() for line in found]
    return sum('"kind":"evaluation"' in line and '"outcome":"ok"' in line for line in lines)


def document(bench: Bench) -> RunDocument:
    (folder,) = (bench.workspace / "runs").iterdir()
    return journal.read(folder)


def check_whole(bench: Bench, count: int = MANY) -> None:
    """Every sample once, in order."""
    found = document(bench)
    assert found.finished_at is not None
    place = 0
    for first, size in covered(found):
        assert first == place
        place += size
    assert place == count


def end(process: subprocess.Popen[str], expect: int = 0) -> None:
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in stderr, stderr
    assert process.returncode == expect, stdout + stderr


def test_a_killed_host_goes_on_behind_the_last_part(bench: Bench) -> None:
    process = begin(asking(bench), *SLOW)
    wait_until(lambda: parts(bench), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LIMIT_S)
    before = covered(document(bench))
    assert sum(size for _, size in before) < MANY
    bench("run", "--resume", "last")
    check_whole(bench)
    assert covered(document(bench))[: len(before)] == before


def test_a_killed_agent_is_started_again_where_it_was(bench: Bench) -> None:
    process = begin(asking(bench), *SLOW)
    wait_until(lambda: parts(bench), process)
    (agent,) = wait_until(lambda: marked(f"TMPDIR={bench.environment['TMPDIR']}", "agent-"), process)
    subprocess.run(["kill", "-9", str(agent)], check=True)
    end(process)
    check_whole(bench)
    (failed,) = [part for part in document(bench).evaluations if part.outcome == "failed"]
    assert (failed.cause, failed.first + failed.count) == ("ended", MANY)


def test_a_device_over_ssh_that_goes_away_is_evaluated_on(tmp_path: Path, server: Sshd) -> None:
    bench = asking(host(tmp_path / "host", server, server.port))
    process = begin(bench, *SLOW, "--device", "box")
    wait_until(lambda: parts(bench), process)
    server.kill_sessions()
    end(process)
    check_whole(bench)


def test_a_phone_that_reboots_is_evaluated_on(tmp_path: Path, adb_server: AdbServer, phone: Phone) -> None:
    bench = asking(make_host(tmp_path, adb_server, phone.serial))
    process = begin(bench, *SLOW, "--device", "phone")
    wait_until(lambda: parts(bench), process)
    phone.reboot()
    end(process)
    check_whole(bench)


def test_a_device_that_stays_away_is_a_gap(tmp_path: Path, server: Sshd) -> None:
    bench = asking(host(tmp_path / "host", server, server.port))
    process = begin(bench, *SLOW, "--device", "box", "--reconnect", "0")
    wait_until(lambda: parts(bench), process)
    server.stop()
    server.kill_sessions()
    end(process, expect=3)
    last = document(bench).evaluations[-1]
    assert (last.outcome, last.cause, last.first + last.count) == ("offline", "offline", MANY)
    server.start()
    bench("run", "--resume", "last")
    check_whole(bench)


@pytest.fixture(params=["ssh", "adb"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bench, str]:
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("server")
        return host(tmp_path / "host", server, server.port), "box"
    adb_server, phone = request.getfixturevalue("adb_server"), request.getfixturevalue("phone")
    return make_host(tmp_path, adb_server, phone.serial, '[devices.local]\ntransport = "local"\n'), "phone"


def test_a_remote_device_predicts_what_this_machine_predicts(remote: tuple[Bench, str]) -> None:
    bench, device = remote
    end(begin(asking(bench, 50), *FEW, "--device", device))
    there = document(bench)
    rows = bench.rows("accuracy", "tiny.onnx", "--dataset", "set.npz", *FEW)
    here = journal.read(max((bench.workspace / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime))
    assert here.header.cases[0].device == "local"
    np.testing.assert_array_equal(predictions(there), predictions(here))
    assert there.evaluations[0].logits == here.evaluations[0].logits
    assert (rows[0]["evaluation"]["samples"], rows[0]["evaluation"]["total"]) == (40, 50)
    assert len(there.header.datasets[0].classes) == CLASSES


Break = Callable[[Path], None]


def damage(chunk: Path) -> None:
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.chmod(0o644)
    chunk.write_bytes(content)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("fault", [damage, Path.unlink])
def test_a_chunk_that_is_damaged_on_the_device_is_pushed_again(tmp_path: Path, fault: Break) -> None:
    shown: list[Message] = []
    run, artifacts, fleet = begun(tmp_path, shown, "one")
    last = run.header.datasets[0].sha256

    def watch(message: Message) -> None:
        shown.append(message)
        if isinstance(message, Evaluating) and not message.done:  # before the agent is started
            folder = run.workspace.root / "devices" / "one" / "datasets" / last
            names = {f"{chunk.sha256}.npy" for chunk in datasets.stored(run.header.datasets[0], run.workspace).chunks}
            assert {path.name for path in folder.iterdir()} == names
            chunk = datasets.stored(run.header.datasets[0], run.workspace).chunks[-1]
            fault(folder / f"{chunk.sha256}.npy")

    run.watch = watch
    run.execute(fleet, artifacts, FakeExecutor())
    found = run.finish()
    assert found.finished_at is not None
    assert covered(found) == [(first, min(8, COUNT - first)) for first in range(0, COUNT, 8)]
    (failed,) = [part for part in found.evaluations if part.outcome != "ok"]
    assert (failed.cause, failed.first) == ("damaged", 48)


@pytest.mark.usefixtures("small_parts")
def test_a_run_that_is_stopped_is_resumed_by_part(tmp_path: Path) -> None:
    shown: list[Message] = []
    run, artifacts, fleet = begun(tmp_path, shown, "one", "other")

    def stop(message: Message) -> None:
        if isinstance(message, Evaluation) and message.first == 16:
            raise KeyboardInterrupt

    run.watch = stop
    with pytest.raises(KeyboardInterrupt):
        run.execute(fleet, artifacts, FakeExecutor())
    assert run.finish().finished_at is None
    again, artifacts = resume(run.header.run_id, run.workspace, Manners(), shown.append)
    again.execute(fleet, artifacts, LocalExecutor())
    found = again.finish()
    assert found == journal.read(again.folder)
    for case in found.header.cases:
        mine = tuple(part for part in found.evaluations if part.case_id == case.case_id)
        assert covered(found.model_copy(update={"evaluations": mine})) == [
            (first, min(8, COUNT - first)) for first in range(0, COUNT, 8)
        ]


def test_what_fails_twice_is_given_up_and_what_cannot_is_unsupported(tmp_path: Path) -> None:
    for option, outcomes in (("exit", ["failed", "failed"]), ("unsupported", ["unsupported"])):
        run, artifacts, fleet = begun(tmp_path / option, [], "one", backend="fake", options={"fault": option})
        run.execute(fleet, artifacts, FakeExecutor())
        found = run.finish()
        assert [part.outcome for part in found.evaluations] == outcomes
        assert found.finished_at is not None
        assert len(run.unrated()) == (option == "exit")


def test_a_set_that_is_gone_is_told_when_a_run_is_resumed(tmp_path: Path) -> None:
    run, _, _ = begun(tmp_path, [], "one")
    run.finish()
    (facts,) = run.header.datasets
    (run.workspace.datasets / facts.sha256 / "dataset.json").write_text("{}")
    with pytest.raises(NothingToRun, match="gone or damaged"):
        resume(run.header.run_id, run.workspace, Manners(), lambda _: None)
