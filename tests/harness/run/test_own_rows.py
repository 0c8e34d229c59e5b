"""Rows of a user's own files say what was measured: sizes, what was made up, batch, and threads without cores."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto as Type
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from tests.rigs.quick import QuickBench


class PinnedBench(QuickBench):
    """`bench` with one short restart a case, on whichever cores."""

    prefix: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, *super().command(*arguments)]


@pytest.fixture
def bench(tmp_path: Path) -> PinnedBench:
    (tmp_path / "tmp").mkdir()
    inputs = [make_tensor_value_info("images", Type.FLOAT, ("N", 3, "H", "W"))]
    outputs = [make_tensor_value_info("y", Type.FLOAT, ("N", 3, "H", "W"))]
    graph = make_graph([make_node("Relu", ["images"], ["y"])], "g", inputs, outputs)
    onnx.save(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=9), tmp_path / "det.onnx")
    return PinnedBench(tmp_path, {"TMPDIR": str(tmp_path / "tmp")})


RUN = ("run", "--models", "det.onnx", "--backends", "onnxruntime", "--threads", "1")


def test_one_model_at_two_sizes_is_two_series(bench: PinnedBench) -> None:
    (small,) = bench.rows(*RUN, "--input-shape", "images=1,3,32,48")
    (large,) = bench.rows(*RUN, "--input-shape", "images=4,3,64,64")
    assert (small["model"], large["model"]) == ("det@1x3x32x48", "det@4x3x64x64")
    assert [row["inputs"][0]["shape"] for row in (small, large)] == [[1, 3, 32, 48], [4, 3, 64, 64]]
    assert large["inputs"][0]["made_up"] == ["values"]
    assert (small["batch"], large["batch"]) == (1, 4)
    assert large["throughput_per_s"] == pytest.approx(4000 / large["median_ms"])
    assert (small["verified"], small["unverified"]) == (True, "")
    stored = bench.rows("results", "list")
    assert [row["model"] for row in stored] == [small["model"], large["model"]]

    text = bench("results", "list").stdout
    assert "1x3x32x48" in text
    assert "per s" in text
    assert "made up det@1x3x32x48: values of images (picture-like noise, float32 1x3x32x48)" in text
    assert "--input images=…" in text
    plan = bench(*RUN, "--input-shape", "images=4,3,64,64", "--dry-run").stdout
    assert "det@4x3x64x64  onnxruntime  1 thread(s)  onnx  4x3x64x64" in plan
    assert "made up det@4x3x64x64: values of images" in plan
    planned = bench.json(*RUN, "--input-shape", "images=4,3,64,64", "--dry-run")["cases"]
    assert planned[0]["inputs"] == large["inputs"]
    exported = bench.json("models", "export", "det.onnx", "--input-shape", "images=4,3,64,64")["artifacts"]
    assert [artifact["model"] for artifact in exported] == ["det@4x3x64x64"]


def test_more_threads_than_cores_are_told(bench: PinnedBench) -> None:
    core = str(min(os.sched_getaffinity(0)))
    if subprocess.run(["taskset", "-c", core, "true"], check=False).returncode:
        pytest.skip("taskset cannot be used here")
    bench.prefix = ("taskset", "-c", core)
    typed = (*RUN[:-1], "1,4", "--input-shape", "images=1,3,8,8")
    one, four = bench.rows(*typed)
    assert (one["threads"], one["notes"], one["actual"]["cores_allowed"]) == (1, [], 1)
    assert (four["threads"], four["notes"]) == (4, ["4 threads on 1 core: they take turns"])
    assert "4 threads on 1 core" in bench("results", "list").stdout
