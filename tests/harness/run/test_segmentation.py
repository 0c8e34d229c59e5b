"""The mean IoU of an own network that segments, from a folder of images and masks to the row."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.executors.local import LocalExecutor
from harness.fleet.devices import Device
from harness.link.manners import Manners
from harness.run import start
from harness.run.datasets import AccuracyRequest, feed_of
from harness.run.plan import PROFILES, BackendChoice
from harness.run.start import RunRequest
from harness.workspace import Workspace
from models.datasets import open_images
from models.errors import UnusableModel
from models.sources.selection import resolve
from models.store import ArtifactStore
from results.judge.summary import rows as summarize
from results.records import RunDocument
from tests.rigs.images import MEAN, SIZE, STD, add_rated
from tests.rigs.maps import bare_mean_iou, network, written_pairs

COUNT = 12


def measured(folder: Path, backends: list[str]) -> RunDocument:
    model, pairs = folder / "colors.onnx", written_pairs(folder / "pairs", COUNT)
    network(model)
    words = f'rule = "none"\ncrop = {SIZE}\nmean = {list(MEAN)}\nstd = {list(STD)}\n'
    model.with_suffix(".toml").write_text(f"[preprocessing]\n{words}")
    request = RunRequest(
        devices=[Device(name="local", transport="local")],
        models=resolve([str(model)]),
        backends=[BackendChoice(name) for name in backends],
        profile=PROFILES["quick"].model_copy(update={"restarts": 0}),
        accuracy=AccuracyRequest(open_images(str(pairs))),
    )
    run, artifacts = start.start(request, Workspace(folder / "bench"), Manners(), lambda _: None, lambda _: None, 1)
    run.execute(request.devices, artifacts, LocalExecutor())
    return run.finish()


def test_the_mean_iou_is_that_of_a_bare_loop(tmp_path: Path) -> None:
    document = measured(tmp_path, ["onnxruntime", "openvino"])
    expected = 100 * bare_mean_iou(tmp_path / "colors.onnx", tmp_path / "pairs")
    (facts,) = document.header.datasets
    assert (facts.metric, facts.labels, facts.samples, facts.total) == ("mean IoU %", "", COUNT, COUNT)
    assert all(part.confusion and not part.top for part in document.evaluations)
    rows = summarize(document)
    assert [row.backend for row in rows] == ["onnxruntime", "openvino"]
    for row in rows:
        assert row.evaluation is not None, row.reason
        assert row.evaluation.metric == "mean IoU %"
        assert row.evaluation.value == pytest.approx(expected, abs=1e-6)
        assert row.evaluation.ci95 is not None
        assert row.evaluation.ci95[0] <= expected <= row.evaluation.ci95[1]
        assert set(row.evaluation.per_class) == {"0", "1", "2"}
    assert 40 < expected < 90


def test_a_classifier_is_not_evaluated_on_masks(tmp_path: Path) -> None:
    artifact = add_rated(ArtifactStore(tmp_path), "onnx")
    with pytest.raises(UnusableModel, match="no output for 10 classes and each of 64x64 pixels, it has 1x10"):
        feed_of(artifact, 10, maps=True)
