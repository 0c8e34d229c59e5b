"""What a user's machine and devices do to `bench run`: bad locks, paths, closed streams, files that go in mid run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from harness.run.tally import Tally
from results import journal
from results.records import Restart
from tests.results.factory import make_case, make_lost, make_restart
from tests.rigs.bench import ROOT, Bench
from tests.rigs.sshd import marked
from tests.rigs.waiting import LIMIT_S, wait_until

FAKE = ("--backends", "fake", "--models", "tiny.onnx")


def devices(bench: Bench, *names: str) -> None:
    tables = [f'[devices.{name}]\ntransport = "local"\n' for name in names]
    (bench.folder / "devices.toml").write_text("".join(tables))


def restarts(bench: Bench) -> tuple[Restart, ...]:
    (folder,) = (bench.workspace / "runs").iterdir()
    return journal.read(folder).restarts


def test_a_bad_lock_of_one_device_is_a_gap_of_that_device(bench: Bench) -> None:
    bench.copy_model()
    devices(bench, "bad", "good")
    locks = Path(bench.environment["TMPDIR"]) / "edgebench-locks"
    locks.mkdir(parents=True)
    os.mkfifo(locks / "bad.lock")
    rows = {row["device"]: row for row in bench.rows("run", *FAKE, "--device", "all", expect=3)}
    assert rows["good"]["n_restarts"] == 2
    assert rows["bad"]["verdict"] == "offline"
    assert "bad.lock is not a plain file of its own; remove it" in rows["bad"]["reason"]
    assert [restart.cause for restart in restarts(bench) if restart.outcome != "ok"] == ["offline"]
    assert "bad is offline" in bench("run", *FAKE, "--device", "bad", expect=2).stderr
    (locks / "bad.lock").unlink()
    runs = sorted(folder.name for folder in (bench.workspace / "runs").iterdir())
    bench("run", "--resume", runs[0])


def test_a_device_called_all_is_resumed_alone(bench: Bench) -> None:
    bench.copy_model()
    devices(bench, "all", "other")
    process = bench.start("run", *FAKE, "--device", "al[l]", "--profile", "standard")
    bench.wait_for_restarts(1, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    (row,) = bench.rows("run", "--resume", "last")
    assert row["device"] == "all"
    assert {restart.round for restart in restarts(bench) if restart.outcome == "ok"} == set(range(5))
    assert not (bench.workspace / "devices" / "other").exists()


def test_a_run_is_resumed_although_a_finished_device_is_gone(bench: Bench) -> None:
    bench.copy_model()
    devices(bench, "here", "gone")
    bench("run", *FAKE, "--device", "all")
    devices(bench, "here")
    assert len(bench.rows("run", "--resume", "last")) == 2


def test_a_workspace_whose_path_is_not_utf8(bench: Bench) -> None:
    bench.copy_model()
    bench.environment["BENCH_HOME"] = str(bench.folder / "caf\udce9")
    said = bench("run", *FAKE, expect=2).stderr
    assert r"caf\xe9 is not UTF-8; set BENCH_HOME to one that is" in said
    bench.environment["BENCH_HOME"] = "~nobody-of-this-name/bench"
    assert "BENCH_HOME=~nobody-of-this-name/bench" in bench("run", *FAKE, expect=2).stderr


@pytest.mark.parametrize("arguments", [("run", *FAKE), ("devices", "list"), ("results", "list"), ("report",)])
def test_a_working_folder_that_is_gone(bench: Bench, arguments: tuple[str, ...]) -> None:
    gone = bench.folder / "gone"
    gone.mkdir()
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    command = ["sh", "-c", script, str(gone), *bench.command(*arguments)]
    environment = {**os.environ, **bench.environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=bench.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bench: the folder that this was started in is gone"), done.stderr


@pytest.mark.parametrize("closing", ["2>&-", ">&- 2>&- <&-", "2>/dev/full", "<&-"])
def test_streams_that_nobody_reads_end_no_run(bench: Bench, closing: str) -> None:
    bench.copy_model()
    # Something is said on standard error: the model fails.
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", *bench.command("run", *FAKE)]
    command += ["--backend-option", "fake.fault=wrong"]
    environment = {**os.environ, **bench.environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=bench.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert [restart.outcome for restart in restarts(bench)] == ["failed"] * 2
    assert {restart.cause for restart in restarts(bench)} == {"wrong-output"}
    assert ("tiny" in done.stdout) == (">&- 2" not in closing)


def test_a_standard_error_whose_reader_has_left_ends_no_run(bench: Bench) -> None:
    bench.copy_model()
    with bench.start("run", *FAKE, "--backend-option", "fake.fault=wrong") as process:
        assert process.stderr
        assert process.stdout
        process.stderr.close()
        assert "failed" in process.stdout.read()
    assert process.returncode == 1


def test_a_device_whose_files_are_removed_in_mid_run_gets_them_again(bench: Bench) -> None:
    bench.copy_model()
    process = bench.start("run", *FAKE, "--profile", "standard")
    for count in (1, 3):
        bench.wait_for_restarts(count, process)
        wait_until(lambda: list(bench.workspace.glob("devices/local/agent/*.pyz")), process)
        shutil.rmtree(bench.workspace / "devices" / "local")
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert sorted(restart.round for restart in restarts(bench) if restart.outcome == "ok") == [0, 1, 2, 3, 4]


def test_lost_restarts_are_never_a_success_and_are_measured_again(bench: Bench) -> None:
    bench.copy_model()
    process = bench.start("run", *FAKE, "--profile", "standard")
    bench.wait_for_restarts(1, process)
    ending = threading.Event()

    def kill() -> None:
        while not ending.wait(0.02):
            for pid in marked(f"TMPDIR={bench.environment['TMPDIR']}", "agent-"):
                with suppress(OSError):
                    if "numpy" in Path(f"/proc/{pid}/maps").read_text():  # it has said hello, and loads the model
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    _, stderr = process.communicate(timeout=LIMIT_S)
    ending.set()
    killer.join()
    assert process.returncode == 1, stderr
    assert "some restarts of 1 case failed" in stderr
    assert 0 < sum(restart.outcome == "ok" for restart in restarts(bench)) < 5
    bench.rows("run", "--resume", "last")
    assert {restart.round for restart in restarts(bench) if restart.outcome == "ok"} == set(range(5))


def test_what_a_resumed_run_tries_again() -> None:
    case = make_case()
    failed = {"outcome": "failed", "attempt": 1}
    said = {"agent": {"agent_version": "1"}}

    def is_open(*made: Restart) -> bool:
        return Tally.resumed(made).is_open(1, case)

    assert not is_open(make_lost(case).model_copy(update=failed | said))
    assert not is_open(make_lost(case).model_copy(update=failed | {"cause": "export"}))
    assert not is_open(make_lost(case).model_copy(update={"outcome": "unsupported"}))
    assert is_open(make_lost(case).model_copy(update=failed | said | {"cause": "damaged"}))
    assert is_open(make_lost(case).model_copy(update=failed))
    assert is_open(make_restart(case, 0), make_lost(case, 1).model_copy(update=failed | said))
    assert not is_open(make_restart(case, 1))
