"""The harness's median against a bare loop, and against the runtimes' own tools, interleaved in fresh processes.

The figures end up in `extra_info` of the benchmark's JSON and on standard output (`-s`).
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fleet.devices import LOCAL
from harness.jobs.latency import Latency, Target
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import rules
from harness.link.ready import push_agent
from harness.run import plan
from harness.run.chosen import Files, PlannedModel
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from results.records import Profile
from tests.perf import bare
from tests.rigs.bench import ROOT

pytestmark = pytest.mark.perf

PAIRS = 9
MODELS = ("mobilenet_v2_1.0", "shufflenet_v2_1.0")
PROFILE = plan.PROFILES["standard"]


@pytest.fixture(scope="session")
def workspace() -> Workspace:
    """The checkout's own workspace, so that artifacts are exported once for all sessions."""
    return Workspace.open(ROOT / "devices.toml")


@pytest.fixture(scope="session")
def artifacts(workspace: Workspace) -> dict[tuple[str, str], Artifact]:
    prepared = prepare(resolve(MODELS), ArtifactStore(workspace.artifacts))
    return {(model.name, form.format): artifact for model in prepared for form, artifact in model.artifacts.items()}


def harness_median(
    workspace: Workspace, artifact: Artifact, backend: str, profile: Profile = PROFILE
) -> Callable[[], float]:
    store = ArtifactStore(workspace.artifacts)
    planned = PlannedModel(
        artifact.model, [Files(artifact.format, artifact.precision, artifact.sha256, artifact.io_sha256)]
    )
    (case,) = plan.build_cases([LOCAL], [planned], [BackendChoice(backend)], [1])
    target = Target(
        case=case,
        model=ModelOnDevice(
            model=store.model_path(artifact),
            model_sha256=artifact.sha256,
            io=store.io_path(artifact),
            io_sha256=artifact.io_sha256,
            inputs=[spec.model_dump(mode="json") for spec in artifact.inputs],
        ),
        outputs=rules(artifact, store.io_path(artifact)),
    )
    agent = push_agent(workspace, LOCAL, LOCAL.connect(), (), 60.0)

    def measure() -> float:
        restart = agent.carry_out(Latency(target, profile))
        assert restart.outcome == "ok", restart.reason
        return statistics.median(restart.samples_ns)

    return measure


def bare_median(workspace: Workspace, artifact: Artifact, backend: str) -> Callable[[], float]:
    store = ArtifactStore(workspace.artifacts)
    seconds = (str(PROFILE.warmup_min_seconds), str(PROFILE.min_seconds))
    command = [sys.executable, bare.__file__, backend, str(store.model_path(artifact)), str(store.io_path(artifact))]

    def measure() -> float:
        return float(subprocess.run([*command, *seconds], capture_output=True, text=True, check=True).stdout)

    return measure


def litert_benchmark(path: Path, tmp_path: Path) -> Callable[[], float]:
    result = tmp_path / "litert.json"
    command = [Path(sys.executable).with_name("litert-benchmark"), "--model", path, "--num_threads", "1"]

    def measure() -> float:
        subprocess.run([*command, "--result_json", result], capture_output=True, check=True)
        return 1e6 * float(find_number(json.loads(result.read_text()), r"median|p50"))

    return measure


def benchmark_app(path: Path) -> Callable[[], float]:
    options = "-hint none -nstreams 1 -nthreads 1 -api sync -infer_precision f32 -ip f32 -t 2"
    command = [Path(sys.executable).with_name("benchmark_app"), "-m", path, *options.split()]

    def measure() -> float:
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        match = re.search(r"Median:\s+([0-9.]+) ms", printed)
        assert match, printed
        return 1e6 * float(match[1])

    return measure


def find_number(tree: object, pattern: str) -> float:
    """Return the first number in a JSON tree whose key matches."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if re.search(pattern, key) and isinstance(value, int | float):
                return value
        for value in tree.values():
            try:
                return find_number(value, pattern)
            except LookupError:
                continue
    raise LookupError(pattern)


def compare(name: str, ours: Callable[[], float], theirs: Callable[[], float], benchmark: object) -> float:
    """Return the median of the pairs' ratios, running the two in turn."""
    pairs = []

    def pair() -> None:
        first, second = (ours, theirs) if len(pairs) % 2 == 0 else (theirs, ours)
        values = {first: first(), second: second()}
        pairs.append((values[ours], values[theirs]))

    benchmark.pedantic(pair, rounds=PAIRS, iterations=1)  # type: ignore[attr-defined]
    ratio = statistics.median(mine / other for mine, other in pairs)
    best = min(mine for mine, _ in pairs) / min(other for _, other in pairs)
    ours_ms = statistics.median(mine for mine, _ in pairs) / 1e6
    theirs_ms = statistics.median(other for _, other in pairs) / 1e6
    benchmark.extra_info.update(ratio=ratio, ratio_of_best=best, ours_ms=ours_ms, theirs_ms=theirs_ms)  # type: ignore[attr-defined]
    print(f"\n| {name} | {ours_ms:.3f} | {theirs_ms:.3f} | {100 * (ratio - 1):+.1f} % | {100 * (best - 1):+.1f} % |")
    return ratio


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("backend", "kind"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("tflite", "tflite")])
def test_against_a_bare_loop(
    benchmark: object,
    workspace: Workspace,
    artifacts: dict[tuple[str, str], Artifact],
    model: str,
    backend: str,
    kind: str,
) -> None:
    artifact = artifacts[model, kind]
    ours, theirs = harness_median(workspace, artifact, backend), bare_median(workspace, artifact, backend)
    compare(f"{backend}, {model}, bare loop", ours, theirs, benchmark)


def test_against_litert_benchmark(
    benchmark: object, workspace: Workspace, artifacts: dict[tuple[str, str], Artifact], tmp_path: Path
) -> None:
    artifact = artifacts[MODELS[0], "tflite"]
    path = ArtifactStore(workspace.artifacts).model_path(artifact)
    ours, theirs = harness_median(workspace, artifact, "tflite"), litert_benchmark(path, tmp_path)
    compare(f"tflite, {MODELS[0]}, litert-benchmark", ours, theirs, benchmark)


def test_against_benchmark_app(
    benchmark: object, workspace: Workspace, artifacts: dict[tuple[str, str], Artifact]
) -> None:
    artifact = artifacts[MODELS[0], "onnx"]
    path = ArtifactStore(workspace.artifacts).model_path(artifact)
    ours, theirs = harness_median(workspace, artifact, "openvino"), benchmark_app(path)
    compare(f"openvino, {MODELS[0]}, benchmark_app", ours, theirs, benchmark)
