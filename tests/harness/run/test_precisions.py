"""Small real models in every precision under every runtime, from the fp32 file to the row."""

from __future__ import annotations

import pytest

from harness.cli.run import PRECISIONS
from harness.executors.local import LocalExecutor
from harness.fleet.devices import Device
from harness.link.manners import Manners
from harness.run import start
from harness.run.plan import PROFILES, BackendChoice
from harness.run.start import RunRequest
from harness.workspace import Workspace
from models.export.precision.calibration import CalibrationSource
from models.sources.selection import resolve
from results import journal
from results.judge.summary import rows as summarize
from results.records import Row, Verdict
from tests.rigs.bench import DATA, Bench
from tests.rigs.idx import write_idx

SHORT = PROFILES["quick"].model_copy(
    update={
        "restarts": 1,
        "min_iterations": 5,
        "min_seconds": 0.02,
        "warmup_min_iterations": 1,
        "warmup_min_seconds": 0.01,
    }
)
BACKENDS = ("onnxruntime", "openvino", "tflite")
MEASURED = {Verdict.VALID, Verdict.UNSTABLE, Verdict.CONTENDED}

Rows = dict[tuple[str, str, str], Row]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    workspace = Workspace(tmp_path_factory.mktemp("precisions"))
    request = RunRequest(
        devices=[Device(name="local", transport="local")],
        models=resolve([str(DATA / "tiny.onnx"), str(DATA / "tiny.tflite")]),
        backends=[BackendChoice(name) for name in BACKENDS],
        profile=SHORT,
        precisions=PRECISIONS,
        max_loss=1.0,
        calibration=CalibrationSource(samples=4),
    )
    run, artifacts = start.start(request, workspace, Manners(), lambda _: None, lambda _: None, 1)
    run.execute(request.devices, artifacts, LocalExecutor())
    document = run.finish()
    assert document.header.max_loss == 1.0
    return {(row.backend, row.precision, row.method): row for row in summarize(document)}


def test_every_combination_is_measured_or_says_why_not(found: Rows) -> None:
    verdicts = {key: row.verdict for key, row in found.items()}
    unsupported = {key for key, verdict in verdicts.items() if verdict is Verdict.UNSUPPORTED}
    assert unsupported >= {("onnxruntime", "bf16", ""), ("tflite", "bf16", "")}
    # What OpenVINO computes in hangs on this machine's CPU.
    assert unsupported - {("openvino", "bf16", "hint"), ("openvino", "fp16", "hint")} == {
        ("onnxruntime", "bf16", ""),
        ("tflite", "bf16", ""),
    }
    for key in unsupported:
        assert "bf16" in found[key].reason or "fp16" in found[key].reason
    assert {verdict for key, verdict in verdicts.items() if key not in unsupported} <= MEASURED
    assert set(verdicts) - unsupported >= {
        ("onnxruntime", "fp32", ""),
        ("onnxruntime", "fp16", "cast"),
        ("onnxruntime", "int8", "qdq"),
        ("openvino", "fp32", ""),
        ("openvino", "int8", "qdq"),
        ("openvino", "int8", "nncf"),
        ("tflite", "fp32", ""),
        ("tflite", "fp16", "cast"),
        ("tflite", "int8", "static"),
    }


def test_a_row_of_another_precision_is_verified_by_its_ratio_and_says_what_it_is(found: Rows) -> None:
    for (_, precision, method), row in found.items():
        if row.verdict not in MEASURED:
            continue
        assert row.verified, row
        assert row.snr_db is not None
        assert row.snr_db > (9 if method else 80)
        if precision == "int8":
            assert "int8" in row.weights_precision
            assert "int8" in row.compute_precision
            assert row.destroyed == ""
    assert found["onnxruntime", "fp16", "cast"].weights_precision == "fp16"
    assert found["tflite", "int8", "static"].snr_db != found["onnxruntime", "int8", "qdq"].snr_db


def test_a_model_of_ones_own_needs_calibration_and_auto_is_all(bench: Bench) -> None:
    bench.copy_model()
    planned = bench.json("run", "-m", "tiny.onnx", "--backends", "onnxruntime", "--precision", "auto", "--dry-run")
    told = {case["precision"]: case["unsupported"] for case in planned["cases"]}
    assert list(told) == ["unknown", "fp16", "bf16", "int8"]  # nobody has read the file yet
    assert "say with which images: --calibration" in told["int8"]


def test_a_model_of_ones_own_is_quantized_with_the_images_that_are_named(bench: Bench) -> None:
    bench.copy_model()
    said = "[preprocessing]\nresize = 64\ncrop = 64\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\n"
    (bench.folder / "tiny.toml").write_text(said)
    (bench.folder / "digits").mkdir()
    write_idx(bench.folder / "digits", "train", 60)
    asked = ("run", "-m", "tiny.onnx", "--backends", "onnxruntime", "--precision", "fp32,int8")
    rows = bench.rows(*asked, "--calibration", "digits")
    assert [(row["precision"], row["method"], row["verified"]) for row in rows] == [
        ("fp32", "", True),
        ("int8", "qdq", True),
    ]
    assert rows[1]["size_bytes"] != rows[0]["size_bytes"]
    (document,) = bench.workspace.glob("runs/*/run.json")
    (made,) = [
        one for one in journal.read(document.parent).header.artifacts if one.sha256 == rows[1]["artifact_sha256"]
    ]
    assert made.calibration is not None
    assert made.quality is not None
    assert (made.calibration.name, made.calibration.samples, made.quality.samples) == ("digits, train", 28, 32)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "fp32,fp8"], "'fp8' is no precision; there are fp32, fp16, bf16, int8 and auto"),
        (["--precision", ","], "names no precision"),
        (["--max-loss", "-1"], "--max-loss"),
        (["--precision", "int8", "--calibration", "no-such-folder"], "no such data set"),
    ],
)
def test_what_is_mistyped_is_told(bench: Bench, arguments: list[str], words: str) -> None:
    bench.copy_model()
    assert words in bench("run", "-m", "tiny.onnx", *arguments, expect=2).stderr
