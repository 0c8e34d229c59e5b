"""How much faster than fp32 each precision is under its runtime, in turns, over sixteen networks: docs/precision.md.

The table ends up on standard output. `BENCH_NETWORKS` names fewer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from harness.run import chosen
from harness.workspace import Workspace
from models.artifacts import Artifact, Form
from models.derived import Wanted
from models.export.precision.methods import METHODS
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.rigs.bench import ROOT

pytestmark = pytest.mark.perf

NETWORKS = (
    "condensenet_74_c4",
    "deit_tiny",
    "dicenet_1.0",
    "edgevit_xxs",
    "efficientnet_b0",
    "efficientnet_lite0",
    "ghostnet_1.0",
    "micronet_m3",
    "mixnet_s",
    "mnasnet_a1_1.0",
    "mobilenet_v1_0.5",
    "mobilenet_v2_1.0",
    "mobilenet_v3_small_1.0",
    "mobilevit_xxs",
    "shufflenet_v2_1.0",
    "squeezenet_1.1",
)
BACKENDS = ("onnxruntime", "openvino", "tflite")
SECONDS = 1.0
"""About as long all files of one network run under one runtime, in turns."""

# A process for each network and runtime: runtimes in one process take cores from one another.
RACE = """
import json, sys, time
from statistics import median
import numpy as np
import backends
told = json.load(sys.stdin)
backend, order, sessions = backends.find(told["backend"])(), np.random.default_rng(0), {}
for name, one in told["files"].items():
    try:
        session = backend.load(one["path"], one["inputs"], {"threads": 1, **one["options"]})
        with np.load(one["io"]) as pair:
            session.bind([(spec["name"], pair["in0"]) for spec in one["inputs"]])
        session.run()
        sessions[name] = session
    except Exception as exc:
        print(name, exc, file=sys.stderr)
taken = {name: [] for name in sessions}
end = time.monotonic() + told["seconds"]
while sessions and (time.monotonic() < end or len(next(iter(taken.values()))) < 15):
    for name in order.permutation(list(sessions)):
        sessions[name].run()
        start = time.process_time_ns()
        sessions[name].run()
        taken[name].append(time.process_time_ns() - start)
print(json.dumps({name: median(values) / 1e6 for name, values in taken.items()}))
"""


def race(store: ArtifactStore, backend: str, artifacts: dict[Form, Artifact]) -> dict[str, float]:
    """Median milliseconds of a core of everything that the backend can run of one network, with one thread.

    Not of the clock: on a busy machine a long inference is interrupted and a short one is not, which says nothing.
    """
    files = {}
    for precision in ("fp32", "bf16", "int8"):
        for way in chosen.ways(backend, precision):
            kind = "tflite" if backend == "tflite" else "onnx"
            artifact = artifacts.get(Form(kind, way.precision, way.method))  # type: ignore[arg-type]
            if artifact is not None:
                files[f"{precision} {way.method}".strip()] = {
                    "path": str(store.model_path(artifact)),
                    "io": str(store.io_path(artifact)),
                    "inputs": [spec.declared for spec in artifact.inputs],
                    "options": {"precision": precision, **dict(way.hint)},
                }
    taken_ms = _raced(backend, files)
    if taken_ms is None:  # OpenVINO may end the process over a network that it cannot compile
        survivors = {name: one for name, one in files.items() if _raced(backend, {name: one}) is not None}
        taken_ms = _raced(backend, survivors)
    return taken_ms or {}


def _raced(backend: str, files: dict[str, Any]) -> dict[str, float] | None:
    """Median milliseconds of a core of each file; None where one of them ended the process."""
    told = json.dumps({"backend": backend, "files": files, "seconds": SECONDS})
    done = subprocess.run(
        (sys.executable, "-c", RACE), input=told, capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        return None
    taken_ms: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken_ms


@pytest.mark.parametrize("name", os.environ.get("BENCH_NETWORKS", ",".join(NETWORKS)).split(","))
def test_speed_ups(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace.open(ROOT / "devices.toml")
    store = ArtifactStore(workspace.artifacts)
    wanted = Wanted(tuple(form for form in METHODS if form.precision == "int8"))
    (model,) = prepare(resolve([name]), store, wanted=wanted)
    cells = []
    for backend in BACKENDS:
        taken_ms = race(store, backend, model.artifacts)
        cells.append(f"{taken_ms['fp32']:.3g}" if "fp32" in taken_ms else "-")
        kind = "tflite" if backend == "tflite" else "onnx"
        for asked in ("bf16", "int8 qdq", "int8 nncf", "int8 static"):
            if asked in taken_ms:
                artifact = model.artifacts.get(Form(kind, "int8", asked.partition(" ")[2]))  # type: ignore[arg-type]
                found = artifact.quality if artifact is not None else None
                ratio = f" / {found.snr_db:.0f}" if found is not None else ""
                cells.append(f"{asked} {taken_ms['fp32'] / taken_ms[asked]:.2f}{ratio}")
    with capsys.disabled():
        print(f"\n| {name} | " + " | ".join(cells) + " |", *model.failures.values())
