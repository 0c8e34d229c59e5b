"""A device with an Arm kernel of its own: set up, measured, and what only a real kernel can do to a run."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from harness.cli.shared import GAPS
from results import journal
from results.records import RunDocument
from tests.rigs.arm64_system import Machine, machine_in, need_arm64_system
from tests.rigs.bench import MEASURED, Bench
from tests.rigs.provisioning import CACHE

pytestmark = [pytest.mark.arm64_system, pytest.mark.timeout(1800)]

RUNTIMES = "onnxruntime,openvino,tflite"
FAKE = ("run", "--device", "pi", "--models", "tiny.onnx", "--backends", "fake", "--threads", "1,2", "--json")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need_arm64_system()
    with machine_in(tmp_path_factory.mktemp("arm64") / "machine") as made:
        yield made


@pytest.fixture(scope="module")
def bench(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """`bench` with the tiny models; its user has the machine's key, its workspace the wheels fetched before."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "tmp").mkdir()
    made = Bench(folder, {"HOME": str(machine.home), "TMPDIR": str(folder / "tmp")}, timeout_s=900)
    for kind in ("onnx", "tflite"):
        made.copy_model(kind)
    (made.workspace / "setup").mkdir(parents=True)
    for name in ("wheels", "chosen"):
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        (made.workspace / "setup" / name).symlink_to(CACHE / name)
    return made


@pytest.fixture(scope="module")
def said(machine: Machine, bench: Bench) -> dict[str, Any]:
    """What `devices` said about a board whose clock has no battery and whose plug is pulled once it is set up."""
    machine.power_on(clock="1970-01-02")
    bench("devices", "add", "pi", "--ssh", f"root@127.0.0.1:{machine.port}", "--accept-new-host-key")
    bare = bench.json("devices", "check", "pi", expect=1)["devices"][0]
    setup = bench.json("devices", "setup", "pi", "--backends", RUNTIMES)["devices"][0]
    machine.cut_power()
    return {"bare": bare, "setup": setup}


@pytest.fixture
def pi(machine: Machine, said: dict[str, Any]) -> Machine:
    """The machine, set up and freshly booted."""
    machine.cut_power()
    machine.power_on()
    return machine


def document(bench: Bench) -> RunDocument:
    return journal.read(max((bench.workspace / "runs").iterdir()))


def finish(process: subprocess.Popen[str], expect: int = 0) -> tuple[list[dict[str, Any]], str]:
    """Return the rows and what was said."""
    stdout, stderr = process.communicate(timeout=600)
    assert "Traceback" not in stderr, stderr
    assert process.returncode == expect, stdout + stderr
    return json.loads(stdout)["rows"], stderr


def all_done(run: RunDocument) -> bool:
    """Tell whether every restart of the plan succeeded, and just once."""
    done = Counter((restart.case_id, restart.round) for restart in run.restarts if restart.outcome == "ok")
    rounds = range(run.header.profile.restarts)
    return done == Counter((case.case_id, round_) for case in run.header.cases for round_ in rounds)


def test_it_is_set_up_and_runs_all_three_runtimes(pi: Machine, said: dict[str, Any], bench: Bench) -> None:
    assert "none of the runtimes" in said["bare"]["problem"]
    assert said["bare"]["system"]["kernel"] == pi.call("uname", "-r").strip()
    assert said["bare"]["system"]["cpu"] == "linux,dummy-virt"
    assert (said["setup"]["machine"], said["setup"]["own_python"], said["setup"]["problems"]) == ("aarch64", True, [])
    answer = bench.json("devices", "check", "pi")["devices"][0]
    assert answer["usable"], "the power was cut just after the set-up"
    assert answer["backends"] == said["setup"]["backends"]
    models = ("--models", "tiny.onnx,tiny.tflite", "--backends", RUNTIMES)
    rows = bench.rows("run", "--device", "pi", *models)
    ran = {(row["backend"], row["artifact_format"]) for row in rows if row["verdict"] in MEASURED}
    assert ran >= {("onnxruntime", "onnx"), ("openvino", "onnx"), ("tflite", "tflite")}
    measured = [restart for restart in document(bench).restarts if restart.outcome == "ok"]
    assert {restart.agent["machine"] for restart in measured} == {"aarch64"}
    # On a Cortex-A72, without fp16 arithmetic, all of them compute in fp32.
    assert all(restart.verified and restart.max_abs_diff < 1e-5 for restart in measured)


def test_a_power_cut_loses_nothing(pi: Machine, bench: Bench) -> None:
    runs = len(list(bench.workspace.glob("runs/*")))
    process = bench.start(*FAKE, "--reconnect", "120")
    bench.wait_for_restarts(1, process, earlier_runs=runs)
    kept = document(bench).restarts
    pi.cut_power()
    pi.power_on()
    rows, told = finish(process)
    assert "was lost" in told
    assert {row["n_restarts"] for row in rows} == {2}
    assert document(bench).restarts[: len(kept)] == kept
    assert all_done(document(bench))


def test_a_device_that_stays_off_is_finished_by_resume(pi: Machine, bench: Bench) -> None:
    runs = len(list(bench.workspace.glob("runs/*")))
    process = bench.start(*FAKE, "--reconnect", "2")
    bench.wait_for_restarts(1, process, earlier_runs=runs)
    pi.cut_power()
    _, told = finish(process, expect=GAPS)
    assert "pi is offline" in told
    before = document(bench).restarts
    pi.power_on()
    rows = bench.rows("run", "--resume", "last")
    assert {row["n_restarts"] for row in rows} == {2}
    assert document(bench).restarts[: len(before)] == before
    assert all_done(document(bench))


def test_a_clock_that_jumps_does_no_harm(pi: Machine, bench: Bench) -> None:
    jumps = "while date -s @86400; do sleep 0.3; date -s @4102444800; sleep 0.3; done"  # 1970 and 2100
    begun, started = time.monotonic_ns(), datetime.now(UTC)
    with pi.transport() as transport:
        stream = transport.stream(["sh", "-c", jumps], stdin=b"")
        rows = bench.rows("run", "--device", "pi", "--models", "tiny.onnx", "--backends", "onnxruntime")
        assert stream.read_line(30.0), "the clock was not set"
        stream.close()
    took_ns = time.monotonic_ns() - begun
    assert {row["n_restarts"] for row in rows} == {2}
    for restart in document(bench).restarts:
        assert (restart.outcome, restart.verified) == ("ok", True), restart.reason
        spans = (restart.import_ns, restart.load_ns, restart.first_ns, *restart.warmup_ns, *restart.samples_ns)
        assert min(spans) > 0
        assert sum(spans) < restart.wall_ns < took_ns
        assert started <= datetime.fromisoformat(restart.started_at) <= datetime.now(UTC)


def test_what_the_kernel_kills_for_want_of_memory_is_told(pi: Machine, bench: Bench) -> None:
    _write_greedy(bench.folder / "greedy.onnx")
    pi.cut_power()
    pi.power_on(memory_mib=400)
    # Else the kernel may refuse the memory, which a runtime survives.
    pi.call("sh", "-c", "echo 1 > /proc/sys/vm/overcommit_memory")
    models = ("--models", "greedy.onnx,tiny.onnx", "--backends", "onnxruntime")
    rows = bench.rows("run", "--device", "pi", *models, expect=1)
    greedy, tiny = sorted(rows, key=lambda row: str(row["model"]))
    assert "Out of memory: Killed process" in pi.log.read_text()
    assert greedy["verdict"] == "failed"
    assert "SIGKILL, as the kernel does when memory runs out" in greedy["reason"]
    assert tiny["n_restarts"] == 2, tiny["reason"]


def _write_greedy(path: Path) -> None:
    """Write a model with two intermediate tensors of 256 MiB that are there at the same time."""
    width = 1024
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [65536, width])
    zero = helper.make_tensor("rows", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("Neg", ["x"], ["minus"]),
        helper.make_node("Expand", ["x", "shape"], ["one"]),
        helper.make_node("Expand", ["minus", "shape"], ["other"]),
        helper.make_node("Add", ["one", "other"], ["sum"]),
        helper.make_node("ReduceMax", ["sum", "rows"], ["y"], keepdims=0),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in (("x", [1, width]), ("y", [width]))
    ]
    graph = helper.make_graph(nodes, "greedy", ends[:1], ends[1:], [shape, zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
