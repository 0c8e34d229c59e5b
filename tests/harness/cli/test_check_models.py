"""`bench models check`: what it says is what a run does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from harness.cli import shared
from harness.run import trial
from harness.run.checked import status_of
from tests.models import onnx_files, unsupported_files
from tests.results.factory import make_case, make_restart
from tests.rigs import own_onnx
from tests.rigs.bench import Bench
from tests.rigs.own_tflite import Builder, options

Files = dict[str, dict[str, Any]]


def check(bench: Bench, *arguments: str, expect: int) -> Files:
    """The files by the names of their models."""
    document = bench.json("models", "check", *arguments, expect=expect)
    assert document["schema_version"] == shared.LISTING_SCHEMA_VERSION
    return {file["model"].split("@")[0]: file for file in document["files"]}


def statuses(file: dict[str, Any]) -> dict[str, str]:
    return {tried["backend"]: tried["status"] for tried in file["runtimes"]}


def test_a_good_file_runs_under_every_runtime_that_reads_it(bench: Bench) -> None:
    bench.copy_model("onnx")
    (tiny,) = check(bench, "tiny.onnx", expect=0).values()
    assert (tiny["status"], tiny["reason"], tiny["warnings"]) == ("runs", "", [])
    assert statuses(tiny) == {"onnxruntime": "runs", "openvino": "runs"}
    for tried in tiny["runtimes"]:
        assert tried["verified"]
        assert tried["version"].startswith(tried["backend"])
        assert min(tried["load_ns"], tried["first_ns"], tried["peak_rss_bytes"]) > 0
    assert tiny["path"] == str(bench.folder / "tiny.onnx")
    assert tiny["size_bytes"] == (bench.folder / "tiny.onnx").stat().st_size
    assert (tiny["format"], tiny["opset"] > 0, tiny["parameters"] > 0) == ("onnx", True, True)
    (given,), (output,) = tiny["inputs"], tiny["outputs"]
    assert (given["name"], given["dtype"], given["shape"]) == ("input", "float32", [1, 3, 64, 64])
    assert (output["dtype"], output["shape"], output["rule"]) == ("float32", [1, 10], "float")
    assert not list(bench.workspace.glob("runs/*")), "nothing was measured"


def test_the_block_for_people(bench: Bench) -> None:
    bench.copy_model("tflite")
    lines = bench("models", "check", "tiny.tflite").stdout.splitlines()
    assert lines[0] == "tiny: runs"
    for label, words in (
        ("ai-edge-litert ", "runs, output as the reference"),
        ("openvino ", "runs"),
        ("input ", "[1, "),
    ):
        assert any(line.startswith(f"  {label}") and words in line for line in lines[1:]), label


def test_a_collection_has_an_answer_for_every_file_and_says_what_a_run_does(quick_bench: Bench) -> None:
    quick_bench.copy_model("tflite", "good")
    unsupported_files.double_conv(quick_bench.folder / "double.onnx")
    unsupported_files.rank_seven(quick_bench.folder / "seven.tflite")
    unsupported_files.operator_of_tomorrow(quick_bench.folder / "new.tflite")
    onnx_files.contradictory(quick_bench.folder / "broken.onnx")
    onnx_files.sequence(quick_bench.folder / "sequence.onnx")
    onnx_files.text(quick_bench.folder / "text.onnx")
    (quick_bench.folder / "garbage.onnx").write_bytes(b"\x08 garbage")
    (quick_bench.folder / "empty.onnx").write_bytes(b"")
    found = check(quick_bench, "*.onnx", "*.tflite", expect=1)
    assert {name: file["status"] for name, file in found.items()} == {
        "good": "runs",
        "double": "partly",
        "seven": "partly",
        "new": "unsupported",
        "broken": "failed",
        "sequence": "unsupported",
        "text": "failed",
        "garbage": "unreadable",
        "empty": "unreadable",
    }
    assert "--input-shape input_ids=1,128" in found["text"]["reason"]
    assert "cannot be run" in found["broken"]["reason"]
    assert statuses(found["double"]) == {"onnxruntime": "unsupported", "openvino": "runs"}
    assert found["double"]["warnings"] == ["its output cannot be checked: the runtime on this machine cannot run it"]
    assert statuses(found["seven"]) == {"openvino": "runs", "tflite": "unsupported"}
    assert "tflite.xnnpack=off runs it" in found["seven"]["reason"]
    rows = quick_bench.rows("run", "-m", "*.onnx,*.tflite", expect=1)
    for row in rows:
        file = found[row["model"].split("@")[0]]
        status = statuses(file).get(row["backend"], file["status"])
        if " reads " not in row["reason"]:
            known = {"unreadable": "failed", "failed": "failed", "unsupported": "unsupported"}
            assert (row["verdict"] if status != "runs" else "measured") == known.get(status, "measured"), row


def test_what_another_option_runs_runs_with_it(bench: Bench) -> None:
    unsupported_files.rank_seven(bench.folder / "m.tflite")
    (file,) = check(bench, "m.tflite", "--backends", "tflite", expect=1).values()
    assert file["status"] == "unsupported"
    (file,) = check(
        bench, "m.tflite", "--backends", "tflite", "--backend-option", "tflite.xnnpack=off", expect=0
    ).values()
    (tried,) = file["runtimes"]
    assert tried["left"] == {"FULLY_CONNECTED": 1}


def test_operators_that_xnnpack_leaves_are_named(bench: Bench) -> None:
    unsupported_files.tflite_complex(bench.folder / "m.tflite")
    (file,) = check(bench, "m.tflite", "--backends", "tflite", expect=0).values()
    (tried,) = file["runtimes"]
    assert tried["left"] == {"REAL": 1, "RFFT2D": 1}
    assert "own kernels: RFFT2D (1), REAL (1)" in bench("models", "check", "m.tflite", "--backends", "tflite").stdout


def test_inputs_that_would_be_made_up_come_with_the_options_that_give_them(bench: Bench) -> None:
    onnx_files.text(bench.folder / "text.onnx")
    shapes = ("--input-shape", "input_ids=1,8", "--input-shape", "attention_mask=1,8")
    (file,) = check(bench, "text.onnx", "--backends", "onnxruntime", *shapes, expect=0).values()
    ids, mask = file["inputs"]
    assert ids["dims"] == ["batch", "seq"]
    assert ids["shape"] == mask["shape"] == [1, 8]
    assert ids["made_up"] == ["values"]
    (option,) = ids["options"]
    assert option.startswith("--input input_ids=")
    typed = ("--input", "input_ids=0..9", "--input", "attention_mask=1")
    (file,) = check(bench, "text.onnx", "--backends", "onnxruntime", *shapes, *typed, expect=0).values()
    assert [(one["made_up"], one["options"]) for one in file["inputs"]] == [([], [])] * 2


def test_inputs_that_share_a_name_are_given_by_position(bench: Bench) -> None:
    graph = Builder(np.random.default_rng(0))
    first, second, total = (graph.tensor(name, "float32", [1, 8]) for name in "xxy")
    graph.op("ADD", [first, second], [total], options("AddOptions"))
    graph.ends([first, second], [total])
    (bench.folder / "m.tflite").write_bytes(graph.bytes())
    (file,) = check(bench, "m.tflite", "--backends", "tflite", expect=0).values()
    assert [one["name"] for one in file["inputs"]] == ["x", "x"]
    assert [one["options"][0].partition("=")[0] for one in file["inputs"]] == ["--input 0", "--input 1"]
    (file,) = check(bench, "m.tflite", "--backends", "tflite", "--input", "0=1", "--input", "1=2", expect=0).values()
    assert [one["made_up"] for one in file["inputs"]] == [[], []]


def test_sizes_that_were_made_up_and_a_symbol_of_two_sizes_are_warned_of(bench: Bench) -> None:
    onnx_files.batch(bench.folder / "m.onnx")
    (file,) = check(bench, "m.onnx", "--backends", "onnxruntime", expect=0).values()
    assert file["warnings"] == ["x: sizes were made up"]
    assert file["inputs"][0]["options"] == ["--input-shape x=1,4", "--input x=FILE.npy"]
    own_onnx.write(bench.folder, "same_symbol_other_size")
    shapes = ("--input-shape", "a=2,4", "--input-shape", "b=3,4")
    (file,) = check(bench, "same_symbol_other_size.onnx", "--backends", "onnxruntime", *shapes, expect=0).values()
    (warning,) = file["warnings"]
    assert "one name, several sizes" in warning


def test_nan_is_warned_of(bench: Bench) -> None:
    own_onnx.write(bench.folder, "all_nan")
    (file,) = check(bench, "all_nan.onnx", "--backends", "onnxruntime", expect=0).values()
    (warning,) = file["warnings"]
    assert "NaN or infinite" in warning
    assert not file["runtimes"][0]["verified"]


def test_a_warning_fails_only_when_that_is_asked_for(bench: Bench) -> None:
    onnx_files.random(bench.folder / "m.onnx")
    (file,) = check(bench, "m.onnx", "--backends", "onnxruntime", expect=0).values()
    (warning,) = file["warnings"]
    assert "differs from run to run" in warning
    check(bench, "m.onnx", "--backends", "onnxruntime", "--strict", expect=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.onnx"], "no such file"),
        (["*.tflite"], "no file matches"),
        (["empty.onnx"], "the file is empty"),
        (["tiny.onnx", "--backends", "tensorflow"], "no backend is called"),
        (["tiny.onnx", "--input", "nonsense"], "expected NAME=VALUE"),
        (["tiny.onnx", "--input-shape", "z=1"], "z"),
        ([], "Missing argument"),
    ],
)
def test_what_was_mistyped_or_is_no_model_ends_with_2(bench: Bench, arguments: list[str], words: str) -> None:
    bench.copy_model("onnx")
    (bench.folder / "empty.onnx").write_bytes(b"")
    assert words in bench("models", "check", *arguments, expect=2).stderr


def test_a_file_that_is_no_model_is_told_and_ends_with_2(bench: Bench) -> None:
    (bench.folder / "garbage.onnx").write_bytes(b"\x08 garbage")
    done = bench("models", "check", "garbage.onnx", "--json", expect=2)
    (file,) = json.loads(done.stdout)["files"]
    assert (file["status"], file["runtimes"]) == ("unreadable", [])


def test_a_runtime_that_is_not_there_is_told_and_is_no_failure() -> None:
    case = make_case(backend="openvino")
    missing = make_restart(case, outcome="unsupported", reason="openvino cannot be imported by python", samples_ns=())
    tried = trial._judged(case, missing, {"openvino": None})
    assert tried.status == "not installed"
    assert trial._judged(case, missing, {"openvino": "openvino 1"}).status == "unsupported"
    assert status_of([tried]) == "not installed"
    runs = tried.model_copy(update={"status": "runs"})
    assert status_of([tried, runs]) == "runs"
    assert status_of([runs, tried.model_copy(update={"status": "failed"})]) == "partly"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("wrong", "wrong", "wrong output"),
        ("load", "failed", "cannot be loaded"),
        ("crash", "failed", "killed or crashed"),
        ("hang", "failed", "no answer for"),
        ("unsupported", "unsupported", "Imaginary is not supported"),
    ],
)
def test_whatever_a_runtime_does_is_told_of_it_alone(bench: Bench, fault: str, status: str, words: str) -> None:
    bench.copy_model("onnx")
    options = ("--backends", "fake,onnxruntime", "--backend-option", f"fake.fault={fault}", "--patience", "5")
    (file,) = check(bench, "tiny.onnx", *options, expect=1).values()
    assert (file["status"], statuses(file)) == ("partly", {"fake": status, "onnxruntime": "runs"})
    assert words in file["reason"]


def test_external_data_and_its_size_are_told(bench: Bench) -> None:
    onnx_files.external(bench.folder / "m.onnx")
    (file,) = check(bench, "m.onnx", "--backends", "onnxruntime", expect=0).values()
    assert file["external"] == [{"path": "weights.bin", "size_bytes": 16 + 4 * np.float32().nbytes * 3}]
