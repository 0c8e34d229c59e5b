"""What the agent counts of maps under real runtimes is what a bare loop counts of them."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from harness.agent.jobs import segmentation as device_side
from harness.jobs.base import Terms
from harness.jobs.segmentation import MapFeed, Segmentation
from models.store import ArtifactStore
from results.files import sha256_of
from results.judge import segmentation as judge
from tests.harness.agent.test_accuracy import parts, told
from tests.rigs.bench import add_tiny
from tests.rigs.images import SIZE, images, job, on_this_machine, table, written
from tests.rigs.maps import CLASSES, network

COUNT = 11


def asked(folder: Path, store: ArtifactStore, backend: str, truth: np.ndarray, **changes: Any) -> Segmentation:
    """Evaluate COUNT images and their masks, five in a file."""
    path = folder / "colors.onnx"
    network(path, channels_last=changes.pop("channels_last", False))
    model = replace(
        on_this_machine(store, add_tiny(store, "onnx")),
        model=PurePosixPath(path),
        model_sha256=sha256_of(path),
        inputs=[{"name": "input", "dtype": "float32", "shape": [1, 3, SIZE, SIZE]}],
    )
    chunks = written(folder / "set", images(COUNT), 5)
    for index, chunk in enumerate(chunks):
        content = io.BytesIO()
        np.save(content, truth[chunk.first : chunk.first + chunk.count])
        sha256 = hashlib.sha256(content.getvalue()).hexdigest()
        masks = folder / "set" / f"{sha256}.npy"
        masks.write_bytes(content.getvalue())
        chunks[index] = replace(chunk, masks=(PurePosixPath(masks), sha256))
    feed = MapFeed(table(), 0, CLASSES, class_axis=changes.pop("class_axis", 1), pixels=SIZE * SIZE)
    plain = job(model, chunks, backend, feed=feed, **changes)
    return Segmentation(**vars(plain))


def masks() -> np.ndarray:
    random = np.random.default_rng(1)
    truth = random.integers(0, CLASSES, (COUNT, SIZE, SIZE), dtype=np.uint8)
    truth[random.random(truth.shape) < 0.2] = device_side.IGNORED
    return truth


def expected(truth: np.ndarray) -> np.ndarray:
    scores = np.maximum(table()[images(COUNT), np.arange(3)], 0)
    named = scores.argmax(axis=3)
    return np.array([judge.confusion(*pair, CLASSES) for pair in zip(truth, named, strict=True)])


def counted(found: list[dict[str, Any]]) -> np.ndarray:
    content = b"".join(base64.b64decode(part["confusion"]) for part in found)
    return np.frombuffer(content, "<u4").reshape(-1, CLASSES, CLASSES)


@pytest.mark.parametrize(("backend", "last"), [("onnxruntime", False), ("onnxruntime", True), ("openvino", False)])
def test_counts_are_those_of_a_bare_loop(tmp_path: Path, store: ArtifactStore, backend: str, last: bool) -> None:
    truth = masks()
    one = asked(tmp_path, store, backend, truth, channels_last=last, class_axis=3 if last else 1)
    found = parts(told(one, tmp_path))
    assert [(part["first"], part["count"]) for part in found] == [(0, COUNT)]
    np.testing.assert_array_equal(counted(found), expected(truth))
    assert 0 < found[0]["infer_ns"] <= found[0]["wall_ns"]


def test_parts_may_begin_and_end_anywhere(tmp_path: Path, store: ArtifactStore) -> None:
    truth = masks()
    request = asked(tmp_path, store, "onnxruntime", truth, first=3, count=7).request(Terms(60.0))
    events: list[dict[str, Any]] = []
    assert device_side.run(replace(request, part_samples=3), events.append) == 0
    found = parts(events)
    assert [(part["first"], part["count"]) for part in found] == [(3, 3), (6, 3), (9, 1)]
    np.testing.assert_array_equal(counted(found), expected(truth)[3:10])


def test_what_cannot_be_counted_is_said(tmp_path: Path, store: ArtifactStore) -> None:
    small = asked(tmp_path, store, "onnxruntime", masks()[:, :32])
    assert "its mask has (32, 64)" in told(small, tmp_path)[-1]["message"]
    foreign = asked(tmp_path, store, "onnxruntime", np.full((COUNT, SIZE, SIZE), 7, np.uint8))
    assert "a mask has the class 7, and there are 3" in told(foreign, tmp_path)[-1]["message"]
    wrong = told(asked(tmp_path, store, "onnxruntime", masks(), class_axis=3), tmp_path)[-1]
    assert (wrong["kind"], wrong["phase"]) == ("wrong-output", "evaluation")
    whole = asked(tmp_path, store, "onnxruntime", masks())
    assert whole.chunks[1].masks is not None
    Path(whole.chunks[1].masks[0]).write_bytes(b"x")
    assert told(whole, tmp_path)[-1]["kind"] == "damaged"


def test_a_map_that_is_not_finite_is_no_answer() -> None:
    class Request:
        classes, class_axis = 2, 1

    output = np.zeros((1, 2, 2, 2), np.float32)
    assert device_side.classes_of(output, Request).tolist() == [[[0, 0], [0, 0]]]  # type: ignore[arg-type]
    output[0, 1, 0, 1] = np.nan
    with pytest.raises(Exception, match="not finite"):
        device_side.classes_of(output, Request)  # type: ignore[arg-type]
