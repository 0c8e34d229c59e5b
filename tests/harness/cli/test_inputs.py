"""What a user's own models are fed, from the command line to the row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models import onnx_files as files
from tests.rigs.bench import Bench
from tests.rigs.own_tflite import write

ORT = ("--backends", "onnxruntime", "--threads", "1")


def voice(folder: Any) -> None:
    """A voice detector: other weights for another sampling rate, and a frame that fits only these."""
    branches = {
        f"{name}_branch": files.helper.make_graph(
            [files.helper.make_node("MatMul", ["frame", f"w_{name}"], [f"y_{name}"])],
            name,
            [],
            [files.value(f"y_{name}", shape=None)],
            [files.weight(f"w_{name}", (size, 3))],
        )
        for name, size in (("then", 512), ("else", 256))
    }
    nodes = [
        files.helper.make_node("Equal", ["sr", "rate"], ["is_16k"]),
        files.helper.make_node("If", ["is_16k"], ["y"], **branches),
    ]
    rate = files.numpy_helper.from_array(np.int64(16000), "rate")
    inputs = [files.value("frame", shape=("batch", "n")), files.value("sr", files.INT64, ())]
    files.write(folder / "voice.onnx", nodes, inputs, [files.value("y", shape=("batch", 3))], [rate])


def test_a_model_whose_branch_hangs_on_an_input(bench: Bench) -> None:
    """The file itself is measured: with the sizes written into it, the branch that does not run would not fit."""
    voice(bench.folder)
    typed = ("--input-shape", "frame=1,512", "--input", "sr=16000", "--input", "frame=-1..1")
    (row,) = bench.rows("run", "--models", "voice.onnx", *ORT, *typed)
    assert row["verified"]
    assert [one["values"] for one in row["inputs"]] == ["made up: floats -1..1", "given: 16000"]
    assert [one["made_up"] for one in row["inputs"]] == [[], []]
    assert row["shapes_fixed"] == "by the runtime"
    (failed,) = bench.rows("run", "--models", "voice.onnx", *ORT, "--input-shape", "frame=1,512", expect=1)
    assert "made up: frame (normal noise, float32[1, 512]), sr (ones, int64[])" in failed["reason"]


def test_files_and_names_of_any_kind(bench: Bench) -> None:
    files.image(bench.folder / "net.onnx")
    Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(bench.folder / "a=b.png")
    (row,) = bench.rows("run", "--models", "net.onnx", *ORT, "--input", "x=a=b.png")
    assert (row["model"], row["inputs"][0]["values"]) == ("net@1x3x9x12", "given: a=b.png")
    write(bench.folder, "t_nameless")
    tflite = ("--models", "t_nameless.tflite", "--backends", "tflite", "--threads", "1")
    (row,) = bench.rows("run", *tflite, "--input", "0=5", "--input", "1=3")
    assert row["verified"]
    assert [one["values"] for one in row["inputs"]] == ["given: 5", "given: 3"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("--input", "z=1"), "--input z: none of the chosen model files has such an input; they have x (net)"),
        (("--input", "x=1.5,2"), "is 2 numbers, the input takes [1, 4]"),
        (("--input", "x=gone.npy"), "gone.npy: no such file"),
        (("--input", "1=2"), "--input 1: none"),
        (("--signature", "a"), "only TFLite files have signatures"),
    ],
)
def test_mistakes_end_with_2(bench: Bench, typed: tuple[str, ...], words: str) -> None:
    files.static(bench.folder / "net.onnx")
    for command in (("run", "--models", "net.onnx"), ("models", "export", "net.onnx")):
        assert words in bench(*command, *typed, expect=2).stderr


def test_what_is_for_own_files_is_for_no_others(bench: Bench) -> None:
    told = bench("run", "--models", "quick", "--input", "x=1", expect=2).stderr
    assert "for your own files, and none is among the models" in told
