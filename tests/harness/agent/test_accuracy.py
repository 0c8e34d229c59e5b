"""Predictions of the agent under real runtimes are those of a bare loop over the same images."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.jobs import accuracy
from harness.jobs.accuracy import Accuracy, Feed
from harness.jobs.base import Terms
from harness.link import bundle
from models.store import ArtifactStore
from results.files import sha256_of
from results.records.evaluation import TOP
from tests.rigs.bench import add_tiny
from tests.rigs.images import CLASSES, bare, images, job, on_this_machine, table, written

COUNT = 70


def told(asked: Accuracy, folder: Path) -> list[dict[str, Any]]:
    """What the agent says in a process of its own."""
    agent = folder / "agent.pyz"
    agent.write_bytes(bundle.build().content)
    with subprocess.Popen(
        [sys.executable, "-I", str(agent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(asked.line(Terms(60.0)))
        process.stdin.flush()  # left open: the agent ends with its host
        return [json.loads(line) for line in process.stdout]


def parts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert events[-1]["event"] == "done", events[-1]
    return [event for event in events if event["event"] == "part"]


def joined(found: list[dict[str, Any]], key: str, dtype: str, width: int) -> np.ndarray:
    content = b"".join(base64.b64decode(part[key]) for part in found)
    return np.frombuffer(content, dtype).reshape(-1, width)


@pytest.mark.parametrize(
    ("backend", "kind"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("openvino", "tflite"), ("tflite", "tflite")]
)
def test_predictions_are_those_of_a_bare_runtime(tmp_path: Path, store: ArtifactStore, backend: str, kind: str) -> None:
    artifact = add_tiny(store, kind)
    pixels = images(COUNT)
    chunks = written(tmp_path / "set", pixels, 32)
    asked = job(on_this_machine(store, artifact), chunks, backend, kind, first=5, count=COUNT - 5)
    found = parts(told(asked, tmp_path))
    expected = bare(kind, store.model_path(artifact), pixels)[5:]
    assert [(part["first"], part["count"]) for part in found] == [(5, COUNT - 5)]
    logits = joined(found, "logits", "<f4", CLASSES)
    np.testing.assert_allclose(logits, expected, atol=2e-4 * np.abs(expected).max())
    top = joined(found, "top", "<u4", TOP)
    assert np.ptp(logits, axis=0).max() > 0.01 * np.abs(expected).max()  # the images are told apart
    np.testing.assert_array_equal(top[:, 0], expected.argmax(axis=1))
    softmax = np.exp(expected - expected.max(axis=1, keepdims=True))
    certain = joined(found, "confidence", "<f4", 1)[:, 0]
    np.testing.assert_allclose(certain, 1 / softmax.sum(axis=1), rtol=1e-3)
    assert not found[0]["probabilities"]


def test_parts_and_batches_do_not_change_what_is_predicted(tmp_path: Path, store: ArtifactStore) -> None:
    artifact = add_tiny(store, "onnx")
    pixels = images(COUNT)
    model = on_this_machine(store, artifact)
    whole = parts(told(job(model, written(tmp_path / "one", pixels, COUNT), "onnxruntime"), tmp_path))
    small = job(model, written(tmp_path / "set", pixels, 9), "onnxruntime").request(Terms(60.0))
    several: list[dict[str, Any]] = []
    assert accuracy.run(replace(small, part_samples=7), several.append) == 0
    found = parts(several)
    assert [part["count"] for part in found] == [7] * 10
    for key, dtype, width in (("top", "<u4", TOP), ("confidence", "<f4", 1), ("logits", "<f4", CLASSES)):
        np.testing.assert_array_equal(joined(found, key, dtype, width), joined(whole, key, dtype, width))


def batched(path: Path, batch: int) -> None:
    """A network of means of colors for several images at once, its scores as (batch, 3, 1, 1)."""
    import onnx
    from onnx import TensorProto, helper

    shape = [batch, 3, 64, 64]
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["means"]),
            helper.make_node("Identity", ["input"], ["image"]),
        ],
        "means",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch, 3, 1, 1]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_model_of_several_images_at_once(tmp_path: Path, store: ArtifactStore, backend: str) -> None:
    path = tmp_path / "batched.onnx"
    batched(path, 4)
    model = replace(
        on_this_machine(store, add_tiny(store, "onnx")),
        model=path,  # type: ignore[arg-type]
        model_sha256=sha256_of(path),
        inputs=[{"name": "input", "dtype": "float32", "shape": [4, 3, 64, 64]}],
    )
    pixels = images(10)
    asked = job(model, written(tmp_path / "set", pixels, 7), backend, feed=Feed(table(), 1, 3, batch=4))
    found = parts(told(asked, tmp_path))
    expected = table()[pixels, np.arange(3)].mean(axis=(1, 2))
    np.testing.assert_allclose(joined(found, "logits", "<f4", 3), expected, atol=1e-5)
    np.testing.assert_array_equal(joined(found, "top", "<u4", 3), np.argsort(-expected, axis=1, kind="stable"))


def test_what_cannot_be_evaluated_is_said(tmp_path: Path, store: ArtifactStore) -> None:
    model = on_this_machine(store, add_tiny(store, "onnx"))
    chunks = written(tmp_path / "set", images(4), 4)
    Path(chunks[0].path).write_bytes(b"x" * 100)
    assert told(job(model, chunks, "onnxruntime"), tmp_path)[-1]["kind"] == "damaged"
    Path(chunks[0].path).unlink()
    assert told(job(model, chunks, "onnxruntime"), tmp_path)[-1]["kind"] == "damaged"
    chunks = written(tmp_path / "set", images(4)[:, :32, :32], 4)
    assert "images of (32, 32, 3)" in told(job(model, chunks, "onnxruntime"), tmp_path)[-1]["message"]
    chunks = written(tmp_path / "set", images(4), 4)
    wrong = told(job(model, chunks, "onnxruntime", feed=Feed(table(), 0, 11)), tmp_path)[-1]
    assert (wrong["kind"], wrong["phase"]) == ("wrong-output", "evaluation")


def test_the_best_of_equal_scores_is_the_lower_class() -> None:
    scores = np.array([[1, 3, 3, 0, 3, 1, 2], [-np.inf] * 5 + [0, -np.inf]], np.float32)
    np.testing.assert_array_equal(accuracy.best(scores), [[1, 2, 4, 6, 0], [5, 0, 1, 2, 3]])


def test_scores_without_an_answer_are_told_from_others() -> None:
    scores = np.array([[0, 1], [np.nan, 1], [np.inf, 1], [-np.inf, 1], [-np.inf, -np.inf]], np.float32)
    np.testing.assert_array_equal(accuracy.answered(scores), [True, False, False, True, False])


def test_probabilities_are_not_made_probabilities_twice() -> None:
    softmax = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
    assert accuracy.are_probabilities(softmax, 0.0)
    np.testing.assert_array_equal(accuracy.confidence(softmax, is_probabilities=True), softmax.max(axis=1))
    logits = np.log(softmax)
    assert not accuracy.are_probabilities(logits, 0.0)
    np.testing.assert_allclose(accuracy.confidence(logits, is_probabilities=False), softmax.max(axis=1), rtol=1e-6)
    assert accuracy.are_probabilities(np.round(softmax * 256) / 256, 1 / 256)
    assert not accuracy.are_probabilities(softmax * 3, 0.0)
