"""What the user says about outputs, from the command line and the TOML to the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto
from onnx.helper import make_node

from tests.rigs import own_onnx
from tests.rigs.bench import Bench

ACCURACY = '[accuracy]\nvalue = 70.5\nsource = "here"\n'


def rows(bench: Bench, *arguments: str, expect: int = 0) -> dict[str, dict[str, Any]]:
    models = [part for path in sorted(bench.folder.glob("*.onnx")) for part in ("--models", path.name)]
    found = bench.rows("run", *models, "--backends", "onnxruntime", "--threads", "1", *arguments, expect=expect)
    return {row["model"]: row for row in found}


def half_random(folder: Path) -> None:
    """Two outputs, of which one differs from run to run."""
    value = own_onnx.value
    nodes = [make_node("Dropout", ["x", "ratio", "train"], ["noise"]), make_node("Abs", ["x"], ["y"])]
    constants = [own_onnx.tensor("ratio", own_onnx.np.float32(0.5)), own_onnx.tensor("train", own_onnx.np.bool_(True))]
    ends = [value(name, TensorProto.FLOAT, [1, 64]) for name in ("x", "noise", "y")]
    (folder / "half.onnx").write_bytes(own_onnx.model(nodes, ends[:1], ends[1:], constants).SerializeToString())


def test_nan_is_told_and_on_no_frontier_until_it_was_asked_for(bench: Bench) -> None:
    own_onnx.write(bench.folder, "all_nan")
    half_random(bench.folder)
    (bench.folder / "all_nan.toml").write_text(ACCURACY)
    found = rows(bench)
    assert (found["all_nan"]["verified"], found["all_nan"]["snr_db"]) == (False, None)
    assert found["all_nan"]["nonfinite"] == "y: 16 of 16 values are NaN or infinite"
    assert "16 of 16 values of its reference are NaN" in found["all_nan"]["unverified"]
    # The other output of this one is compared, and counts.
    assert found["half"]["unverified"] == "output noise: differs from run to run on the same input"
    assert (found["half"]["verified"], found["half"]["snr_db"], found["half"]["top1_agreement"]) == (False, 200, 1)
    asked = rows(bench, "--nonfinite", "y")["all_nan"]
    assert (asked["verified"], asked["nonfinite"], asked["unverified"]) == (True, "", "")
    (bench.folder / "all_nan.toml").write_text(ACCURACY + "[outputs.y]\nnonfinite = true\n")
    assert rows(bench)["all_nan"]["verified"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tolerance", "z=0.1"], "none of the chosen model files has such an output; they have y"),
        (["--nonfinite", "1"], "none of the chosen model files has such an output; they have y"),
        (["--tolerance", "y=little"], "--tolerance 'y=little': expected [NAME=]VALUE"),
    ],
)
def test_what_no_model_has_is_a_mistake(bench: Bench, arguments: list[str], words: str) -> None:
    own_onnx.write(bench.folder, "tiny_outputs")
    done = bench("run", "--models", "tiny_outputs.onnx", "--backends", "onnxruntime", *arguments, expect=2)
    assert words in done.stderr
