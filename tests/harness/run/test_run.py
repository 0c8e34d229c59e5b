"""`bench run` as a user types it, with real processes: what it prints, what it leaves, how it is interrupted."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import RunNotFound
from harness.fleet import locks
from harness.workspace import Workspace
from results import journal
from results.records import RunDocument
from tests.rigs.bench import MEASURED, ROOT, Bench
from tests.rigs.waiting import LIMIT_S, wait_until, wait_until_ended

FAKE = ("--backends", "fake", "--models", "tiny.onnx")
ROW_FIELDS = {
    "device", "model", "backend", "precision", "threads", "verdict", "reason", "median_ms", "ci95_ms", "n_restarts",
    "n_iterations", "load_ms", "first_ms", "peak_rss_bytes", "artifact_sha256", "accuracies",
}  # fmt: skip


def only_run(bench: Bench) -> Path:
    (folder,) = (bench.workspace / "runs").iterdir()
    return folder


def document(bench: Bench) -> RunDocument:
    return journal.read(only_run(bench))


def test_an_own_model_under_three_runtimes(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench.copy_model("tflite")
    rows = bench.rows("run", "--models", "tiny.onnx,tiny.tflite")
    assert [(row["backend"], row["artifact_format"], row["verdict"]) for row in rows] == [
        ("onnxruntime", "onnx", rows[0]["verdict"]),
        ("openvino", "onnx", rows[1]["verdict"]),
        ("tflite", "tflite", rows[2]["verdict"]),
    ]
    for row in rows:
        assert row.keys() >= ROW_FIELDS
        assert row["verdict"] in MEASURED
        assert row["ci95_ms"][0] <= row["median_ms"] <= row["ci95_ms"][1]
        assert row["n_restarts"] == 2
        assert row["n_iterations"] >= 40
        assert 20e6 < row["load_peak_rss_bytes"] <= row["peak_rss_bytes"]
        assert (row["cold_load_ms"] is None) == (row["load_caches"] == "warm")  # the file system decides
        assert row["weights"] == "own"
    assert (only_run(bench) / "report.html").stat().st_size > 100_000


def test_a_format_that_a_backend_cannot_read_is_a_row(bench: Bench) -> None:
    bench.copy_model("tflite")
    rows = {row["backend"]: row for row in bench.rows("run", "--models", "tiny.tflite")}
    assert rows["onnxruntime"]["verdict"] == "unsupported"
    assert rows["onnxruntime"]["reason"] == "onnxruntime reads onnx; the model is there as tflite"
    assert rows["onnxruntime"]["median_ms"] is None
    assert rows["openvino"]["artifact_format"] == "tflite"


def test_threads_and_options_are_cases_and_recorded(bench: Bench) -> None:
    bench.copy_model("onnx")
    arguments = ("--models", "tiny.onnx", "--backends", "onnxruntime", "--threads", "1,2")
    rows = bench.rows("run", *arguments, "--backend-option", "onnxruntime.spinning=off")
    assert [row["threads"] for row in rows] == [1, 2]
    assert {row["actual"]["spinning"] for row in rows} == {"off"}
    assert {row["options"]["spinning"] for row in rows} == {"off"}


@pytest.mark.parametrize(
    ("fault", "verdict", "words", "code"),
    [
        ("crash", "failed", "the process was killed or crashed", 1),
        ("hang", "failed", "no answer for", 1),
        ("wrong", "failed", "check of the output: wrong output: output 0 output is off by 1", 1),
        ("exit", "failed", "it ended with code 0", 1),
        ("unsupported", "unsupported", "operator Imaginary is not supported", 0),
    ],
)
def test_a_fault_is_a_row_and_never_a_hung_run(bench: Bench, fault: str, verdict: str, words: str, code: int) -> None:
    bench.copy_model("onnx")
    arguments = (*FAKE, "--backend-option", f"fake.fault={fault}", "--patience", "2")
    (row,) = bench.rows("run", *arguments, expect=code)
    assert row["verdict"] == verdict
    assert words in row["reason"]
    attempts = [restart.attempt for restart in document(bench).restarts]
    assert attempts == ([0] if verdict == "unsupported" else [0, 1])


def test_devices_are_chosen_by_class_tag_and_glob(bench: Bench) -> None:
    bench.copy_model("onnx")
    (bench.folder / "devices.toml").write_text(
        '[devices.pi4]\ntransport = "ssh"\nclass = "pi"\n[devices.pi5]\ntransport = "ssh"\nclass = "pi"\n'
        '[devices.pixel]\ntransport = "adb"\ntags = ["desk"]\n[devices.local]\ntransport = "local"\n'
    )
    chosen = ("--device", "class:pi,pi5", "--device", "tag:desk", "--device", "pix*")
    plan = bench.json("run", *FAKE, *chosen, "--dry-run")
    assert [case["device"] for case in plan["cases"]] == ["pi4", "pi5", "pixel"]
    assert "there are: pi\n" in bench("run", *FAKE, "--device", "class:jetson", expect=2).stderr


def test_dry_run_runs_nothing(bench: Bench) -> None:
    bench.copy_model("onnx")
    plan = bench.json("run", "--models", "tiny.onnx", "--threads", "1,2", "--dry-run")
    assert len(plan["cases"]) == 6
    assert plan["restarts"] == 2 * 4  # two runtimes read ONNX
    assert plan["to_export"] == ["tiny"]
    assert plan["expected_seconds"] > 0
    assert not (bench.workspace / "runs").exists()
    assert (
        "6 cases, 8 restarts (profile" in bench("run", "--models", "tiny.onnx", "--threads", "1,2", "--dry-run").stdout
    )
    shown = bench("run", "--models", "tiny.onnx", "--target-ci", "1%", "--dry-run").stdout
    assert "3 cases, 4 restarts and up to 10 more where needed (profile" in shown


def test_kill_9_loses_at_most_the_restart_in_flight_and_resume_goes_on(bench: Bench) -> None:
    bench.copy_model("onnx")
    process = bench.start("run", *FAKE, "--profile", "standard", "--threads", "1,2", "--seed", "7")
    try:
        bench.wait_for_restarts(2, process)
    finally:
        process.kill()
        process.communicate()
    before = document(bench)
    assert 2 <= len(before.restarts) < 10
    assert before.finished_at is None
    listed = bench.json("results", "runs")["runs"]
    assert listed[0]["finished_at"] is None
    rows = bench.rows("run", "--resume", "last")
    after = document(bench)
    assert after.restarts[: len(before.restarts)] == before.restarts
    assert sorted((r.case_id, r.round) for r in after.restarts) == sorted(
        (case.case_id, round_) for case in after.header.cases for round_ in range(5)
    )
    assert len(rows) == 2
    assert journal.read_document(only_run(bench) / "run.json").finished_at is not None


def test_resuming_a_finished_run_measures_nothing(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    before = document(bench).restarts
    rows = bench.rows("run", "--resume", only_run(bench).name)
    assert document(bench).restarts == before
    assert rows[0]["n_restarts"] == 2


@pytest.mark.export
def test_an_interrupt_while_models_are_prepared(bench: Bench) -> None:
    process = bench.start("run", "--models", "squeezenet_1.1")
    workers = ["pgrep", "-P", str(process.pid)]
    worker = wait_until(lambda: subprocess.run(workers, capture_output=True, text=True).stdout, process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.strip()) == (130, "bench: interrupted")
    wait_until_ended(int(worker))


def test_a_run_is_resumed_by_one_bench_at_a_time(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    opened = journal.Journal.reopen(only_run(bench))
    assert "another bench is at work on this run" in bench("run", "--resume", "last", expect=2).stderr
    opened.close()
    assert bench.rows("run", "--resume", "last")[0]["n_restarts"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on(bench: Bench, number: int) -> None:
    bench.copy_model("onnx")
    process = bench.start("run", *FAKE, "--profile", "standard")
    bench.wait_for_restarts(1, process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert f"bench run --resume {only_run(bench).name}" in stderr
    assert "Traceback" not in stderr
    assert bench.rows("run", "--resume", "last")[0]["n_restarts"] >= 3


def test_half_a_line_in_the_journal_is_passed_over_told_and_measured_again(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    folder = only_run(bench)
    (folder / "run.json").unlink()
    path = folder / "devices/local.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    assert len(journal.read(folder).restarts) == 1
    resumed = bench("run", "--resume", "last", "--json")
    assert f"{path}:{len(lines)} is damaged" in resumed.stderr
    assert "of 2 restarts 1 can be read" in resumed.stderr
    assert json.loads(resumed.stdout)["rows"][0]["n_restarts"] == 2
    assert len(journal.read(folder).restarts) == 2


def test_two_runs_at_once_take_turns_and_both_finish(bench: Bench) -> None:
    bench.copy_model("onnx")
    first = bench.start("run", *FAKE, "--profile", "standard")
    bench.wait_for_restarts(1, first)
    second = bench.start("run", *FAKE)
    outputs = [process.communicate(timeout=LIMIT_S) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert "device local is in use by bench run" in outputs[1][1]
    runs = [journal.read(folder) for folder in (bench.workspace / "runs").iterdir()]
    assert sorted(len(run.restarts) for run in runs) == [2, 5]
    spans = sorted((run.restarts[0].started_at, run.restarts[-1].started_at) for run in runs)
    assert spans[0][1] <= spans[1][0]


def test_a_busy_device_is_a_gap_and_the_others_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", bench.environment["TMPDIR"])
    monkeypatch.setattr("tempfile.tempdir", None)
    one, two = (f'[devices.{name}]\ntransport = "local"\n' for name in ("one", "two"))
    (bench.folder / "devices.toml").write_text(one + two)
    bench.copy_model("onnx")
    with locks.hold("one", "a long night", wait_s=0):
        done = bench("run", *FAKE, "--device", "all", "--wait", "0", "--json", expect=3)
        alone = bench("run", *FAKE, "--device", "one", "--wait", "0", "--json", expect=2)
    rows = {row["device"]: row for row in json.loads(done.stdout)["rows"]}
    assert (rows["one"]["verdict"], rows["two"]["n_restarts"]) == ("offline", 2)
    words = rf"device one is in use by a long night \(pid {os.getpid()}, .*, since 2.*\); gave up after 0 s, see --wait"
    assert re.fullmatch(words, rows["one"]["reason"])
    assert "not everything was measured; busy or offline: one; go on with: bench run --resume 2" in done.stderr
    assert "bench: nothing was measured; busy or offline: one; go on with" in alone.stderr
    (gap,) = json.loads(alone.stdout)["rows"]
    assert gap["verdict"] == "offline"


def test_a_damaged_artifact_is_noticed_and_made_again(bench: Bench) -> None:
    bench.copy_model("onnx")
    (before,) = bench.rows("run", *FAKE)
    (model,) = bench.workspace.glob("artifacts/*/model.onnx")
    content = bytearray(model.read_bytes())
    content[100] ^= 0xFF
    model.write_bytes(content)  # the pushed copy shares its inode, so the device's file is damaged as well
    (after,) = bench.rows("run", *FAKE)
    assert after["artifact_sha256"] == before["artifact_sha256"]
    assert after["n_restarts"] == 2


def test_a_file_damaged_on_the_device_is_pushed_again(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    (pushed,) = bench.workspace.glob("devices/local/artifacts/*/model.onnx")
    content = bytearray(pushed.read_bytes())
    content[100] ^= 0xFF
    pushed.unlink()
    pushed.write_bytes(content)
    (row,) = bench.rows("run", *FAKE)
    assert row["n_restarts"] == 2


@pytest.fixture
def small_disk(bench: Bench) -> Iterator[Path]:
    """A file system of 400 kB for the workspace."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = bench.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mount: {mounted.stderr.decode()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_loses_nothing_and_says_what_to_do(bench: Bench, small_disk: Path) -> None:
    bench.copy_model("onnx")
    bench.environment["BENCH_HOME"] = str(small_disk)
    (bench.folder / "devices.toml").write_text(f'[devices.local]\ntransport = "local"\nroot = "{bench.folder}/there"\n')
    arguments = ("run", *FAKE, "--profile", "standard", "--backend-option", "fake.sleep_ms=0.05")
    failed = bench(*arguments, expect=2)
    assert "No space left on device" in failed.stderr
    assert "bench run --resume" in failed.stderr
    (folder,) = (small_disk / "runs").iterdir()
    kept = journal.read(folder).restarts
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    bench("run", "--resume", "last")
    resumed = journal.read(folder)
    assert resumed.restarts[: len(kept)] == kept
    assert len(resumed.restarts) == 5


def test_what_was_measured_is_told_although_the_index_is_garbage(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench.workspace.mkdir()
    (bench.workspace / "index.sqlite").write_bytes(b"no database" * 1000)
    done = bench("run", *FAKE)
    assert "tiny" in done.stdout
    assert "index.sqlite is damaged" in done.stderr
    assert "it is made anew" in done.stderr
    (bench.workspace / "index.sqlite").unlink()
    (bench.workspace / "index.sqlite").mkdir()
    done = bench("run", *FAKE, expect=2)
    assert "tiny" in done.stdout
    assert "index.sqlite is no file" in done.stderr
    assert f"bench report --run {bench.json('results', 'runs')['runs'][-1]['run']}" in done.stderr
    assert "index.sqlite cannot be removed" in bench("results", "reindex", expect=2).stderr


def test_the_second_run_imports_neither_torch_nor_a_runtime(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'litert_torch', 'jax', 'onnx', 'onnxruntime', 'openvino', 'ai_edge_litert', 'tensorflow'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    environment = {**os.environ, **bench.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "run", *FAKE]
    done = subprocess.run(command, cwd=bench.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--models", "mobilenet_v2-1.0"), "mobilenet_v2_1.0"),
        (("--models", "nothing.onnx"), "no such file"),
        (("--models", "broken.onnx"), "not an ONNX file"),
        (("--models", "empty.tflite"), "the file is empty"),
        (("--device", "pixel"), "no device is called 'pixel'"),
        (("--backends", "tensorflow"), "no backend is called 'tensorflow'"),
        (("--backends", ","), "',' names no backend"),
        (("--backend-option", "spinning=off"), "not BACKEND.KEY=VALUE"),
        (("--backend-option", "tvm.x=1"), "not among the backends"),
        (("--threads", "0"), "between 1 and 1024"),
        (("--threads", "two"), "not a list of numbers"),
        (("--resume", "yesterday"), "no run is called 'yesterday'"),
        (("--resume", "last", "--dry-run", "--threads", "2"), "leave out --threads, --dry-run"),
        (("--models", "", "--dry-run"), "nothing to measure"),
        (("--models", "\udcff.onnx"), "not UTF-8"),
        (("--patience", "nan"), "nan is not a number"),
        (("--profile", "sustained", "--minutes", "nan"), "nan is not a number"),
        (("--wait", "inf"), "is not in the range"),
        (("--profile", "fast"), "'fast' is not one of"),
        (("--input-shape", "x"), "expected NAME=SIZE"),
    ],
)
def test_bad_input_is_told_in_words_with_exit_code_2(bench: Bench, arguments: tuple[str, ...], words: str) -> None:
    (bench.folder / "broken.onnx").write_bytes(b"this is no model")
    (bench.folder / "empty.tflite").write_bytes(b"")
    bench.copy_model(name="\udcff")
    assert words in bench("run", *arguments, expect=2).stderr


def test_a_reader_who_has_left_is_no_failed_case(bench: Bench) -> None:
    bench.copy_model()
    with bench.start("run", *FAKE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (only_run(bench) / "report.html").exists()


def test_a_name_that_the_terminal_has_no_letters_for(bench: Bench) -> None:
    bench.environment["PYTHONIOENCODING"] = "ascii"
    bench.copy_model(name="ネット")
    assert "\\u30cd\\u30c3\\u30c8" in bench("run", "--backends", "fake", "--models", "ネット.onnx").stdout


def test_output_that_finds_no_room(bench: Bench) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            bench.command("models", "list"), stdout=full, stderr=-1, text=True, env=environment, check=False
        )
    assert (done.returncode, done.stderr) == (2, "bench: standard output cannot be written: No space left on device\n")


def test_a_broken_devices_toml(bench: Bench) -> None:
    (bench.folder / "devices.toml").write_text('[devices.local]\ntransport = "local"\nthreads = "all"\n')
    assert "devices.toml:3: devices.local.threads" in bench("run", expect=2).stderr
    assert "devices.toml:3" in bench("devices", "list", expect=2).stderr


def test_a_workspace_that_cannot_be_made(bench: Bench) -> None:
    (bench.folder / "file").write_text("")
    bench.environment["BENCH_HOME"] = str(bench.folder / "file" / "deep")
    assert "the workspace" in bench("run", expect=2).stderr


def test_an_own_model_with_accuracy_stands_on_the_frontier(bench: Bench) -> None:
    bench.copy_model("onnx")
    (bench.folder / "tiny.toml").write_text(
        'name = "my-net"\nmultiply_adds = 1_000_000\n'
        '[accuracy]\nvalue = 71.5\nmetric = "top-1 %"\ndataset = "flowers"\nsource = "our test set"\n'
    )
    (row,) = bench.rows("run", *FAKE)
    assert row["model"] == "my-net"
    assert row["multiply_adds"] == 1_000_000
    (accuracy,) = row["accuracies"]
    assert accuracy == {
        "value": 71.5,
        "metric": "top-1 %",
        "dataset": "flowers",
        "kind": "measured",
        "source": "our test set",
        "recalled": False,
        "ci95": None,
        "samples": None,
    }


def test_a_random_moment_of_death_never_breaks_the_journal(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)  # so that the next runs spend their time measuring
    workspace = Workspace(bench.workspace)
    for seed in range(2):
        shutil.rmtree(workspace.runs)
        process = bench.start("run", *FAKE, "--threads", "1,2")
        wait_until(workspace.run_ids, process)
        time.sleep(random.Random(seed).random() * 2)
        process.kill()
        process.communicate()
        rows = bench.rows("run", "--resume", "last")
        assert [row["n_restarts"] for row in rows] == [2, 2]


def test_results_are_the_same_in_every_listing(bench: Bench) -> None:
    bench.copy_model("onnx")
    rows = bench.rows("run", *FAKE)
    (listed,) = bench.json("results", "runs")["runs"]
    assert listed["finished_at"]
    assert bench.rows("results", "list") == rows
    assert bench.rows("results", "list", "--run", "last", "--device", "lo*", "--model", "ti*") == rows
    assert bench.rows("results", "list", "--model", "other") == []
    (bench.workspace / "index.sqlite").unlink()
    bench("results", "reindex")
    assert bench.rows("results", "list") == rows
    (bench.workspace / "index.sqlite").write_bytes(b"not a database at all, not even close to one")
    mended = bench("results", "list", "--json")
    assert json.loads(mended.stdout)["rows"] == rows
    assert "index.sqlite is damaged (file is not a database): it is made anew" in mended.stderr
    assert bench("results", "list", "--json").stderr == ""
    assert json.loads(bench("results", "export", "--format", "json").stdout)["rows"] == rows
    csv = bench("results", "export", "-o", "out.csv")
    assert "1 rows in out.csv" in csv.stderr
    assert (bench.folder / "out.csv").read_text().count("\n") == 2
    assert bench("report").stdout.strip().endswith("report.html")
    bench("report", "--run", "last", "-o", "page.html", "--image", "chart.svg")
    assert (bench.folder / "chart.svg").read_text().startswith("<svg")


def test_a_run_s_folder_of_another_name_is_not_resumed(bench: Bench) -> None:
    bench.copy_model("onnx")
    bench("run", *FAKE)
    folder = only_run(bench)
    copied = folder.with_name("zz-copied")
    shutil.copytree(folder, copied)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    said = bench("run", "--resume", copied.name, expect=2).stderr
    assert f"holds the run {folder.name}: name the folder" in said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for name in ("..", "../runs", "."):
        assert "no run is called" in bench("run", "--resume", name, expect=2).stderr
    with pytest.raises(RunNotFound, match="not the name of a run"):
        Workspace(bench.workspace).run_folder("..")
