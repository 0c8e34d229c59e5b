"""A model of several files is measured, wherever its weights lie, and each file is checked on the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models import onnx_files
from tests.rigs.quick import QuickBench


def measure(bench: QuickBench, model: str) -> list[dict[str, Any]]:
    """The rows of the runtimes that read it."""
    done = bench("run", "--models", model, "--threads", "1", "--backends", "onnxruntime,openvino", "--json")
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


@pytest.fixture
def bench(tmp_path: Path) -> QuickBench:
    (tmp_path / "tmp").mkdir()
    return QuickBench(tmp_path, {"TMPDIR": str(tmp_path / "tmp")})


def test_it_is_measured_and_what_is_damaged_on_the_device_is_pushed_again(bench: QuickBench) -> None:
    """Laid out as the cache of a model hub: links into a folder of files that are named by their hashes."""
    blobs, snapshot = bench.folder / "hub/blobs", bench.folder / "hub/snapshots/1/onnx"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    onnx_files.external(blobs / "4f2a", "weights.bin")
    (blobs / "weights.bin").rename(blobs / "9c1b")
    (snapshot / "model.onnx").symlink_to("../../../blobs/4f2a")
    (snapshot / "weights.bin").symlink_to("../../../blobs/9c1b")
    rows = measure(bench, "hub/snapshots/1/onnx/model.onnx")
    assert [(row["backend"], row["verified"]) for row in rows] == [("onnxruntime", True), ("openvino", True)]
    (pushed,) = (bench.workspace / "devices/local/artifacts").glob("*/weights.bin")
    content = pushed.read_bytes()
    assert content == (blobs / "9c1b").read_bytes()
    pushed.write_bytes(bytes(reversed(content)))
    assert all(row["verified"] for row in measure(bench, "hub/snapshots/1/onnx/model.onnx"))
    assert pushed.read_bytes() == content
