"""Accuracies measured in runs: every sample once, whatever happens meanwhile, and the same wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.executors.local import LocalExecutor
from harness.fleet.devices import Device
from harness.run.datasets import AccuracyRequest
from harness.run.evaluating import Evaluating
from harness.run.plan import PROFILES, BackendChoice
from harness.run.runner import Run
from harness.run.start import RunRequest, begin
from harness.run.task import Manners, Message
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.datasets import open_dataset
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from results import journal
from results.records import RunDocument, unpacked
from results.records.evaluation import TOP
from tests.rigs.images import add_rated, bare, written_set

COUNT = 60
ONLY_ACCURACY = PROFILES["quick"].model_copy(update={"restarts": 0})


def begun(
    folder: Path,
    watched: list[Message],
    *devices: str,
    backend: str = "onnxruntime",
    kind: str = "onnx",
    options: Mapping[str, str] | None = None,
    **changes: Any,
) -> tuple[Run, dict[str, Artifact], list[Device]]:
    folder.mkdir(exist_ok=True)
    workspace = Workspace(folder / "bench")
    tiny = add_rated(ArtifactStore(workspace.artifacts), kind, **changes)
    model = Prepared(OwnModel("tiny", {}), {tiny.form: tiny})
    fleet = [Device.model_validate({"name": name, "transport": "local"}) for name in devices]
    dataset = open_dataset(str(written_set(folder / "set.npz", COUNT)))
    request = RunRequest(
        fleet,
        (),
        [BackendChoice(backend, options or {})],
        ONLY_ACCURACY,
        threads=[1],
        seed=1,
        accuracy=AccuracyRequest(dataset),
    )
    run, artifacts = begin(request, [model], workspace, Manners(), watched.append)
    return run, artifacts, fleet


def covered(document: RunDocument) -> list[tuple[int, int]]:
    return sorted((part.first, part.count) for part in document.evaluations if part.outcome == "ok")


def predictions(document: RunDocument) -> np.ndarray:
    parts = sorted((part for part in document.evaluations if part.outcome == "ok"), key=lambda part: part.first)
    return np.concatenate([unpacked(part.top, "uint32", (part.count, TOP)) for part in parts])


@pytest.mark.parametrize(("backend", "kind"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("tflite", "tflite")])
def test_counts_are_those_of_a_bare_loop_over_the_same_images(tmp_path: Path, backend: str, kind: str) -> None:
    shown: list[Message] = []
    run, artifacts, fleet = begun(tmp_path, shown, "one", backend=backend, kind=kind)
    run.execute(fleet, artifacts, LocalExecutor())
    document = run.finish()
    assert document.finished_at is not None
    assert document == journal.read(run.folder)
    assert covered(document) == [(0, COUNT)]
    (facts,) = document.header.datasets
    assert (facts.samples, facts.total, document.header.cases[0].dataset) == (COUNT, COUNT, facts.sha256)
    labels = unpacked(facts.labels, "uint32", (COUNT,))
    images = open_dataset(str(tmp_path / "set.npz"))
    pixels = np.stack([images.image(index) for index in range(COUNT)])
    store = ArtifactStore(run.workspace.artifacts)
    (artifact,) = artifacts.values()
    best = bare(kind, store.model_path(artifact), pixels).argmax(axis=1)
    right = int((best == images.labels).sum())
    assert 0 < right < COUNT
    assert int((predictions(document)[:, 0] == labels).sum()) == right
    assert [message.done for message in shown if isinstance(message, Evaluating)] == [0, COUNT]
