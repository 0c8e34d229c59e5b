"""From prepared models to the cases of a run."""

from __future__ import annotations

from pathlib import Path

from harness.link.manners import Manners
from harness.run import start
from harness.run.plan import PROFILES, BackendChoice
from harness.run.start import RunRequest
from harness.workspace import Workspace
from models.artifacts import Form
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from tests.rigs.bench import add_tiny
from tests.rigs.fleet import fleet


def test_each_case_has_the_precision_and_the_artifact_of_its_own_file(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    made = {
        Form("onnx", "fp32"): add_tiny(store, "onnx", key="a" * 64),
        Form("tflite", "int8"): add_tiny(store, "tflite", key="b" * 64).model_copy(update={"precision": "int8"}),
    }
    backends = [BackendChoice(name) for name in ("onnxruntime", "openvino", "tflite")]
    request = RunRequest(devices=fleet(1), models=(), backends=backends, profile=PROFILES["quick"])
    run, artifacts = start.begin(request, [Prepared(OwnModel("net", {}), made)], Workspace(tmp_path), Manners())
    found = {case.backend: (case.precision, artifacts[case.case_id].form) for case in run.header.cases}
    assert found == {
        "onnxruntime": ("fp32", Form("onnx", "fp32")),
        "openvino": ("fp32", Form("onnx", "fp32")),
        "tflite": ("int8", Form("tflite", "int8")),
    }
    for case in run.header.cases:
        assert (case.artifact_sha256, case.io_sha256) == (
            artifacts[case.case_id].sha256,
            artifacts[case.case_id].io_sha256,
        )
