"""`bench accuracy` and `bench run --accuracy` in a row with their exit codes."""

from __future__ import annotations

from tests.rigs.bench import Bench
from tests.rigs.images import written_set

SETTINGS = """\
[preprocessing]
crop = 64
rule = "none"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[accuracy]
value = {value}
dataset = "set"
source = "us"
threshold = 2
"""


def test_a_model_that_is_less_accurate_than_it_states_fails(bench: Bench) -> None:
    bench.copy_model("onnx")
    written_set(bench.folder / "set.npz", 90)
    settings = bench.folder / "tiny.toml"
    settings.write_text(SETTINGS.format(value=90))
    asked = ("accuracy", "tiny.onnx", "--dataset", "set.npz", "--backends", "onnxruntime")
    (row,) = bench.rows(*asked, expect=1)
    found = row["evaluation"]
    assert (row["verdict"], row["asked"], row["median_ms"]) == ("valid", ["accuracy"], None)
    assert (found["reference"], found["threshold"]) == (90, 2)
    assert found["drop"] == 90 - found["value"] > 20
    assert "points below the reference of 90" in found["check"]

    settings.write_text(SETTINGS.format(value=found["value"] + 1))
    (row,) = bench.rows(*asked)
    assert row["evaluation"]["check"] == ""
    (timed,) = bench.rows("run", "-m", "tiny.onnx", "--backends", "onnxruntime", "--accuracy", "none")
    assert (timed["case_id"], timed["evaluation"]) == (row["case_id"], None)
    (joined,) = bench.rows("results", "list")
    assert (joined["median_ms"], joined["evaluation"]) == (timed["median_ms"], row["evaluation"])
    assert f"its accuracy was measured in run {row['run']}" in joined["notes"]
