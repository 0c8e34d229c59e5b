"""Models that cannot be prepared: they are rows with a reason, and the others are measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.artifacts import Form
from models.errors import MissingShape, ModelError, UnreadableModel, UnsupportedModel, UnusableModel
from models.export.limits import Limits, memory_of
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files as files
from tests.models import unsupported_files
from tests.rigs.bench import MEASURED, Bench
from tests.rigs.waiting import wait_until


def own(*paths: Path):
    return resolve([str(path) for path in paths])


def test_one_bad_file_among_good_ones_is_left_out(tmp_path, store):
    bad = files.contradictory(tmp_path / "bad.onnx"), files.text(tmp_path / "text.onnx"), tmp_path / "empty.onnx"
    bad[2].write_bytes(b"")
    (tmp_path / "described.toml").write_text("precison = 1")
    models = prepare(own(*bad, files.static(tmp_path / "described.onnx"), files.static(tmp_path / "good.onnx")), store)
    told = {model.name: " ".join(model.failures.values()) for model in models}
    assert "cannot be run" in told["bad"]
    assert "--input-shape input_ids=1,128" in told["text"]
    assert "the file is empty" in told["empty"]
    assert "did you mean precision?" in told["described"]
    assert told["good"] == ""
    assert [list(model.artifacts) for model in models] == [[], [], [], [], [Form("onnx", "fp32")]]


def test_the_other_format_of_a_bad_file_is_there(tmp_path, store):
    (tmp_path / "m.onnx").write_bytes(b"")
    (model,) = prepare(own(tmp_path / "m.onnx", files.tflite(tmp_path / "m.tflite")), store)
    assert list(model.artifacts) == [Form("tflite", "fp32")]
    assert list(model.failures) == [Form("onnx", "unknown")]


def test_two_formats_in_two_precisions_are_kept_apart(tmp_path, store):
    (model,) = prepare(own(files.quantized(tmp_path / "m.onnx"), files.tflite(tmp_path / "m.tflite")), store)
    assert {form: artifact.precision for form, artifact in model.artifacts.items()} == {
        Form("onnx", "int8"): "int8",
        Form("tflite", "fp32"): "fp32",
    }


def test_what_was_made_up_is_told_when_a_model_cannot_be_run(tmp_path, store):
    (model,) = prepare(own(files.empty_table(tmp_path / "m.onnx")), store)
    assert "made up: country_id (ones, int64[1, 3])" in model.failures[Form("onnx", "unknown")]


def test_an_id_is_0_where_1_is_beyond_the_table(tmp_path, store):
    (model,) = prepare(own(files.tiny_table(tmp_path / "m.onnx")), store)
    (spec,) = model.artifacts[Form("onnx", "fp32")].inputs
    assert spec.values == "made up: zeros, as the model does not run with ones"
    assert spec.made_up == ("values",)


def test_a_file_that_takes_memory_without_end_is_ended(tmp_path, store):
    limits = Limits(memory_bytes=1e9)
    greedy, good = files.greedy(tmp_path / "greedy.onnx"), files.static(tmp_path / "good.onnx")
    one, two = prepare(own(greedy, good), store, workers=1, limits=limits)
    assert r"more memory than the 1 GB" in one.failures[Form("onnx", "unknown")]
    assert "BENCH_PREPARE_MEMORY_GB" in one.failures[Form("onnx", "unknown")]
    assert list(two.artifacts) == [Form("onnx", "fp32")]


def test_a_file_that_computes_for_ever_is_ended(tmp_path, store):
    endless, good = files.endless(tmp_path / "endless.onnx"), files.static(tmp_path / "good.onnx")
    one, two = prepare(own(endless, good), store, workers=2, limits=Limits(seconds=10))
    assert "longer than 10 s and was ended; BENCH_PREPARE_SECONDS" in one.failures[Form("onnx", "unknown")]
    assert list(two.artifacts) == [Form("onnx", "fp32")]


def test_what_a_process_has_started_is_counted():
    with subprocess.Popen(
        ["sh", "-c", f"'{sys.executable}' -c 'held = bytearray(b\"x\") * 100_000_000; input()'; true"],
        stdin=subprocess.PIPE,
    ) as shell:
        wait_until(lambda: memory_of(shell.pid) > 100_000_000)
        shell.communicate()
    assert memory_of(shell.pid) == 0


def test_limits_are_those_of_the_environment(monkeypatch):
    machine = Limits.from_environment()
    assert 0 < machine.memory_bytes < 2**60
    monkeypatch.setenv("BENCH_PREPARE_MEMORY_GB", "2.5")
    monkeypatch.setenv("BENCH_PREPARE_SECONDS", "7")
    assert Limits.from_environment() == Limits(2.5e9, 7)
    for wrong in ("0", "-1", "much", "nan", "inf"):
        monkeypatch.setenv("BENCH_PREPARE_SECONDS", wrong)
        with pytest.raises(ModelError, match=f"BENCH_PREPARE_SECONDS={wrong}: must be"):
            Limits.from_environment()


def test_a_run_measures_the_good_ones_and_ends_with_1(bench: Bench):
    files.contradictory(bench.folder / "bad.onnx")
    files.static(bench.folder / "good.onnx")
    models = ("--models", "bad.onnx,good.onnx")
    rows = bench.rows("run", *models, "--backends", "onnxruntime", "--threads", "1", expect=1)
    assert {row["model"]: row["verdict"] for row in rows if row["verdict"] == "failed"} == {"bad": "failed"}
    (bad,) = [row for row in rows if row["model"] == "bad"]
    (good,) = [row for row in rows if row["model"] == "good"]
    assert "cannot be run" in bad["reason"]
    assert good["median_ms"] > 0
    exported = bench.json("models", "export", "bad.onnx", "good.onnx", expect=1)
    assert [artifact["model"] for artifact in exported["artifacts"]] == ["good"]
    assert [failure["model"] for failure in exported["failures"]] == ["bad"]


def test_only_what_is_no_model_or_was_mistyped_ends_a_run_when_it_is_alone(tmp_path, store):
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "garbage.onnx").write_bytes(b"\x08 garbage")
    with pytest.raises(UnreadableModel, match="the file is empty"):
        prepare(own(tmp_path / "empty.onnx", tmp_path / "garbage.onnx"), store)
    with pytest.raises(MissingShape):
        prepare(own(files.text(tmp_path / "text.onnx"), tmp_path / "garbage.onnx"), store)
    models = prepare(own(files.contradictory(tmp_path / "c.onnx"), files.sequence(tmp_path / "s.onnx")), store)
    assert [type(*model.errors.values()) for model in models] == [UnusableModel, UnsupportedModel]
    assert prepare(own(files.contradictory(tmp_path / "c.onnx"), tmp_path / "garbage.onnx"), store)


def test_a_collection_gets_a_row_for_every_file(quick_bench: Bench):
    """Of an unsupported one under every runtime, with the operator or type that is lacking."""
    for make in (unsupported_files.operator_of_tomorrow, unsupported_files.tflite_resource):
        make(quick_bench.folder / f"{make.__name__}.tflite")
    files.contradictory(quick_bench.folder / "broken.onnx")
    files.sequence(quick_bench.folder / "sequence.onnx")
    unsupported_files.double_conv(quick_bench.folder / "double.onnx")
    quick_bench.copy_model("tflite", "good")
    rows = quick_bench.rows("run", "-m", "*.onnx,*.tflite", "--backends", "onnxruntime,openvino,tflite", expect=1)
    told = {(row["model"], row["backend"]): (row["verdict"], row["reason"]) for row in rows}
    verdicts = {key: verdict for key, (verdict, _) in told.items() if verdict not in MEASURED}
    assert verdicts.pop(("broken", "onnxruntime")) == verdicts.pop(("broken", "openvino")) == "failed"
    assert set(verdicts.values()) == {"unsupported"}
    measured = {key for key in told if key not in verdicts and key[0] != "broken"}
    assert measured == {
        ("double", "openvino"), ("good", "openvino"), ("good", "tflite"), ("tflite_resource", "tflite")
    }  # fmt: skip
    lacking = {key: reason for key, (_, reason) in told.items() if key in verdicts and " reads " not in reason}
    assert "Op builtin_code out of range: 999" in lacking.pop(("operator_of_tomorrow", "tflite"))
    assert "builtin code 999 is out of range" in lacking.pop(("operator_of_tomorrow", "openvino"))
    assert "Unexpected type: RESOURCE" in lacking.pop(("tflite_resource", "openvino"))
    assert "Could not find an implementation for Conv(11)" in lacking.pop(("double", "onnxruntime"))
    assert "input x is of type sequence" in lacking.pop(("sequence", "onnxruntime"))
    assert "input x is of type sequence" in lacking.pop(("sequence", "openvino"))
    assert lacking == {}


def test_an_unsupported_model_alone_is_a_row(bench: Bench):
    unsupported_files.text_in(bench.folder / "m.onnx")
    (row,) = bench.rows("run", "-m", "m.onnx", "--backends", "onnxruntime")
    assert (row["verdict"], row["reason"].partition(": ")[2]) == (
        "unsupported",
        "input x holds string, which cannot be fed",
    )


def test_what_was_mistyped_ends_with_2_before_anything_runs(bench: Bench):
    files.static(bench.folder / "good.onnx")
    assert "no such file" in bench("run", "--models", "good.onnx,gone.onnx", expect=2).stderr
    assert "this is a folder" in bench("models", "export", "good.onnx", "./", expect=2).stderr
    assert ArtifactStore(bench.workspace / "artifacts").all() == []


def test_each_case_has_the_precision_of_its_own_file(bench: Bench):
    files.quantized(bench.folder / "m.onnx")
    files.tflite(bench.folder / "m.tflite")
    rows = bench.rows("run", "--models", "m.onnx,m.tflite", "--backends", "onnxruntime,tflite", "--threads", "1")
    assert {row["backend"]: row["precision"] for row in rows} == {"onnxruntime": "int8", "tflite": "fp32"}
