"""The agent as it really runs: a zipapp in a fresh process, spoken to over pipes."""

from __future__ import annotations

import ast
import json
import mmap
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from backends.messages import plain
from harness.agent import jobs, pagecache
from harness.agent.identity import cpu_model
from harness.agent.jobs import latency
from harness.jobs.base import Terms
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import rules
from harness.link import bundle
from models.artifacts import Artifact
from models.store import ArtifactStore
from results.files import sha256_of
from tests.rigs.bench import ROOT, add_tiny
from tests.rigs.sysfs import write_pi
from tests.rigs.waiting import LIMIT_S

PROFILE = {
    "min_iterations": 8,
    "min_seconds": 0.02,
    "max_seconds": 2.0,
    "warmup_min_iterations": 2,
    "warmup_min_seconds": 0.0,
    "warmup_max_seconds": 1.0,
}


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    path = tmp_path / "agent.pyz"
    path.write_bytes(bundle.build().content)
    return path


@pytest.fixture
def request_for(store: ArtifactStore) -> Callable[..., dict[str, Any]]:
    def make(backend: str, kind: str = "onnx", **changes: Any) -> dict[str, Any]:
        artifact: Artifact = add_tiny(store, kind)
        model = ModelOnDevice(
            model=PurePosixPath(store.model_path(artifact)),
            model_sha256=artifact.sha256,
            io=PurePosixPath(store.io_path(artifact)),
            io_sha256=artifact.io_sha256,
            inputs=[spec.declared for spec in artifact.inputs],
        )
        options = {"threads": 1, "precision": "fp32", **changes.pop("options", {})}
        return {
            "protocol": 2,
            "job": "latency",
            **model.request(backend, options, Terms(LIMIT_S), LIMIT_S),
            "outputs": [asdict(rule) for rule in rules(artifact, store.io_path(artifact))],
            "profile": PROFILE,
            **changes,
        }

    return make


def talk(agent: Path, request: dict[str, Any] | bytes, *, python: str = sys.executable) -> list[dict[str, Any]]:
    line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
    process = subprocess.Popen([python, "-I", str(agent)], stdin=-1, stdout=-1, stderr=-1)
    assert process.stdin
    assert process.stdout
    process.stdin.write(line)
    process.stdin.flush()
    events = [json.loads(said) for said in process.stdout]
    process.communicate(timeout=LIMIT_S)
    return events


@pytest.mark.parametrize(
    ("backend", "kind"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("openvino", "tflite"), ("tflite", "tflite")]
)
def test_a_whole_restart(agent: Path, request_for: Callable[..., dict[str, Any]], backend: str, kind: str) -> None:
    events = talk(agent, request_for(backend, kind))
    assert [event["event"] for event in events] == [
        "hello",
        "imported",
        "loaded",
        "first",
        "verified",
        "warmup",
        "samples",
        "done",
    ]
    by_name = {event["event"]: event for event in events}
    assert by_name["hello"]["protocol"] == 2
    assert by_name["hello"]["agent_sha256"] == bundle.build().sha256
    (compared,) = by_name["verified"]["outputs"]
    assert 0 <= compared["rms"] <= compared["off"] < 1e-5
    assert (compared["snr_db"] > 90, compared["top1_agreement"]) == (True, 1.0)
    assert len(by_name["samples"]["ns"]) >= PROFILE["min_iterations"]
    # Half of it: on a busy machine much of the time passes between the inferences.
    assert all(isinstance(sample, int) and sample > 0 for sample in by_name["samples"]["ns"])
    assert len(by_name["warmup"]["ns"]) >= PROFILE["warmup_min_iterations"]
    assert by_name["loaded"]["load_ns"] > 0
    assert by_name["loaded"]["load_caches"] == "warm"
    assert 20e6 < by_name["loaded"]["load_peak_rss_bytes"] <= by_name["done"]["peak_rss_bytes"]


def test_a_cold_load_says_whether_it_was_one(
    agent: Path, request_for: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    request = request_for("fake", cold=True)
    loaded = next(event for event in talk(agent, request) if event["event"] == "loaded")
    assert loaded["load_caches"] == pagecache.drop([request["model"]])  # the folder's file system decides
    data = tmp_path / "weights.bin"
    data.write_bytes(bytes(5000))
    request["data"] = {str(data): sha256_of(data)}
    with data.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as held:
        assert held[0] == 0  # another process uses it: it stays in memory
        loaded = next(event for event in talk(agent, request) if event["event"] == "loaded")
    assert loaded["load_caches"] in ("unknown", "warm")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("load", "failed", "the model cannot be loaded"),
        ("wrong", "wrong-output", "wrong output: output 0 output is off by 1, allowed"),
        ("unsupported", "unsupported", "operator Imaginary is not supported"),
    ],
)
def test_faults_are_told(
    agent: Path, request_for: Callable[..., dict[str, Any]], fault: str, kind: str, words: str
) -> None:
    last = talk(agent, request_for("fake", options={"fault": fault}))[-1]
    assert (last["event"], last["kind"]) == ("error", kind)
    assert words in last["message"]


def test_a_runtime_that_prints_does_not_disturb_the_protocol(
    agent: Path, request_for: Callable[..., dict[str, Any]]
) -> None:
    assert talk(agent, request_for("fake", options={"fault": "noise"}))[-1]["event"] == "done"


def test_the_maximum_time_ends_a_slow_model(agent: Path, request_for: Callable[..., dict[str, Any]]) -> None:
    profile = {**PROFILE, "min_iterations": 1000, "max_seconds": 0.3, "warmup_max_seconds": 0.1}
    events = talk(agent, request_for("fake", options={"sleep_ms": 40}, profile=profile))
    by_name = {event["event"]: event for event in events}
    assert len(by_name["samples"]["ns"]) <= 2 * 8, "once more, shielded, where others take the core"
    assert by_name["warmup"]["stable"] is False


def test_a_file_that_is_not_what_was_pushed(agent: Path, request_for: Callable[..., dict[str, Any]]) -> None:
    request = request_for("fake")
    Path(request["model"]).write_bytes(b"something else")
    last = talk(agent, request)[-1]
    assert (last["kind"], last["phase"]) == ("damaged", "files")
    assert "does not have the hash it was pushed with" in last["message"]


def test_a_missing_runtime_is_unsupported(agent: Path, request_for: Callable[..., dict[str, Any]]) -> None:
    request = request_for("onnxruntime")
    request["backend_class"] = "backends.nowhere:Nothing"
    last = talk(agent, request)[-1]
    assert (last["kind"], last["phase"]) == ("unsupported", "import")


@pytest.mark.parametrize("line", [b"not json\n", b"[2]\n", b'{"protocol": 99}\n', b"\xff\xfe\n", b""])
def test_a_bad_request_is_answered_or_ends(agent: Path, line: bytes) -> None:
    process = subprocess.run([sys.executable, "-I", str(agent)], input=line, capture_output=True, timeout=LIMIT_S)
    assert process.returncode == 1
    hello, error = map(json.loads, process.stdout.splitlines())
    assert (hello["event"], error["event"]) == ("hello", "error")


def test_it_ends_when_the_host_is_gone(agent: Path, request_for: Callable[..., dict[str, Any]]) -> None:
    request = request_for("fake", options={"fault": "hang"})
    process = subprocess.Popen([sys.executable, "-I", str(agent)], stdin=-1, stdout=-1, stderr=-1)
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    for line in process.stdout:
        if b'"verified"' in line:
            break
    process.stdin.close()
    assert process.wait(timeout=LIMIT_S) == 3
    process.stdout.close()
    assert process.stderr
    process.stderr.close()


def test_it_gives_up_by_itself_when_an_inference_hangs(agent: Path, request_for: Callable[..., dict[str, Any]]) -> None:
    request = request_for("fake", options={"fault": "hang"}, give_up_after_s=1.0)
    begun = time.monotonic()
    events = talk(agent, request)
    assert events[-1]["event"] == "verified"
    assert time.monotonic() - begun < 45


def test_probe_tells_system_backends_and_missing_files(agent: Path) -> None:
    files = [{"path": str(agent), "size_bytes": agent.stat().st_size}, {"path": "/nowhere", "size_bytes": 1}]
    packages = {"onnxruntime": ["onnxruntime"], "other": ["no-such-package"]}
    request = {"protocol": 2, "job": "probe", "backends": packages, "files": files, "give_up_after_s": LIMIT_S}
    (_, probe) = talk(agent, request)
    assert probe["missing"] == ["/nowhere"]
    assert probe["backends"]["onnxruntime"].startswith("onnxruntime 1.")
    assert probe["backends"]["other"] is None
    assert probe["system"]["cpus"] >= 1


def test_where_the_kernel_has_no_name_for_the_processor_its_board_s_is_told(tmp_path: Path) -> None:
    write_pi(tmp_path)
    (tmp_path / "proc").mkdir()
    *lines, named = (tmp_path / "cpuinfo").read_text().splitlines(keepends=True)
    cpuinfo, board = tmp_path / "proc/cpuinfo", tmp_path / "sys/firmware/devicetree/base/model"
    board.write_bytes(b"A board\0")
    cpuinfo.write_text("".join([*lines, named]))
    assert cpu_model(str(tmp_path)) == "Raspberry Pi 4 Model B Rev 1.4"
    cpuinfo.write_text("".join(lines))
    assert cpu_model(str(tmp_path)) == "A board"
    board.unlink()
    assert cpu_model(str(tmp_path)) == "unknown"


def test_the_bundle_is_the_same_bytes_every_time() -> None:
    code = "from harness.link import bundle; print(bundle.build().sha256)"
    hashes = {
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert hashes == {bundle.build().sha256 + "\n"}


def test_every_source_of_agent_and_backends_is_packed_as_it_is_and_parses_on_python_3_8(agent: Path) -> None:
    with zipfile.ZipFile(agent) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    folders = (ROOT / "backends", ROOT / "harness" / "agent")
    tree = {path.relative_to(ROOT).as_posix(): path.read_bytes() for part in folders for path in part.rglob("*.py")}
    for module in jobs.JOBS.values():
        assert module.replace(".", "/") + ".py" in tree
    assert packed == {**tree, "harness/__init__.py": b"", "__main__.py": tree["harness/agent/__main__.py"]}
    for name, source in packed.items():
        ast.parse(source, filename=name, feature_version=(3, 8))


@pytest.mark.parametrize("name", ["restart", None, 7, ["latency"], "harness.agent.jobs.latency"])
def test_an_unknown_job_is_an_error_that_lists_those_there_are(agent: Path, name: Any) -> None:
    (_, error) = talk(agent, {"protocol": 2, "job": name, "give_up_after_s": LIMIT_S})
    assert (error["event"], error["phase"]) == ("error", "request")
    assert "there are: latency, accuracy, segmentation, compute, probe, hold" in error["message"]


def test_a_field_that_the_job_does_not_know_is_an_error(agent: Path) -> None:
    (_, error) = talk(agent, {"protocol": 2, "job": "probe", "backends": {}, "give_up_after_s": 9, "fast": True})
    assert (error["event"], error["phase"]) == ("error", "request")
    assert "fast" in error["message"]


@pytest.mark.parametrize("folder", ["backends", "harness/agent"])
def test_device_code_parses_on_python_3_8(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 8))


def test_device_code_imports_nothing_but_itself_and_numpy() -> None:
    allowed = {"backends", "harness", "numpy", "onnxruntime", "openvino", "ai_edge_litert", "tflite_runtime"}
    for path in [*(ROOT / "backends").rglob("*.py"), *(ROOT / "harness/agent").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.split(".")[0]
                assert top in allowed | sys.stdlib_module_names, f"{path}: {name}"
                assert top != "harness" or name.startswith("harness.agent"), f"{path}: {name}"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_the_agent_starts_under_other_pythons(agent: Path, version: str) -> None:
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    python = str(installed[-1]) if installed else shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"no python{version} here")
    request = {"protocol": 2, "job": "probe", "backends": {"tflite": ["ai-edge-litert"]}, "give_up_after_s": LIMIT_S}
    (_, probe) = talk(agent, request, python=python)
    assert probe["system"]["python"].startswith(version + ".")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from /x/model.onnx failed:Fatal error: my:Op(-1) is not known",
            "Fatal error: my:Op(-1) is not known",
        ),
        (
            "Exception from src/cpp/core.cpp:84:\nCheck 'false' failed at src/a/b.cpp:151:\nNo rule for X\n",
            "No rule for X",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /a/b/graph.h:46 void ort::check(const std::map<std::basic_string<char>, "
            "f(int)>&, bool) const Opset 99 is new",
            "Opset 99 is new",
        ),
        ("plain words", "plain words"),
    ],
)
def test_a_runtime_s_message_is_told_without_its_noise(said: str, told: str) -> None:
    assert plain(said) == told


def test_a_message_with_a_long_name_takes_no_time() -> None:
    name = "/" * 20_000
    assert plain(name) == name


@pytest.mark.parametrize(
    ("actual", "key"), [({"asked": ["GPU"]}, "fallback"), ({"asked": []}, "unexamined"), ({}, "unexamined")]
)
def test_what_cannot_be_found_out_is_a_fallback_only_of_an_accelerator(actual: dict[str, Any], key: str) -> None:
    session = SimpleNamespace(actual=lambda: actual, examine=lambda: 1 // 0)
    words = "not known, looking for it failed (ZeroDivisionError: integer division or modulo by zero)"
    assert latency._examined(session) == {key: words}
