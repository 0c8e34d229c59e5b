"""What a runtime is asked to run on and what it runs on, with real runtimes and accelerators that take little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.base import Session, Unsupported, fell_back
from backends.onnxruntime import placed, profiled
from tests.backends.test_contract import load
from tests.rigs.bench import DATA, Bench, tiny_pair

CPU = "CPUExecutionProvider"
# In every package of ONNX Runtime for the CPU, and takes no node of an ordinary model.
AZURE = "AzureExecutionProvider"


def ran(name: str, kind: str, **options: object) -> dict[str, Any]:
    """What a backend says of itself after one inference, whose output must be right."""
    session: Session = load(name, kind, **options)
    given, expected = tiny_pair(kind)
    session.bind([("input", given)])
    session.run()
    np.testing.assert_allclose(session.outputs()[0], expected, atol=1e-5)
    return {**session.actual(), **session.examine()}


@pytest.mark.parametrize(
    ("asked", "placement", "dropped", "words"),
    [
        ([], {CPU: 7}, [], ""),
        (["GPU"], {"GPU": 7}, [], ""),
        (["GPU"], {"GPU": 7, "CPU": 0}, [], ""),
        (["GPU"], {"GPU": 5, "CPU": 2}, [], "2 of 7 nodes ran on CPU"),
        (["GPU"], {"CPU": 7}, [], "all 7 nodes ran on CPU"),
        (["NPU", "GPU"], {"GPU": 7}, [], "NPU took none of 7 nodes"),
        (["NPU", "GPU"], {"NPU": 6, "GPU": 1}, [], ""),
        (["NPU", "GPU"], {"GPU": 7}, ["NPU"], "NPU could not be started and was dropped"),
        (["NPU"], {"CPU": 7}, ["NPU"], "NPU could not be started and was dropped; all 7 nodes ran on CPU"),
        (["NPU"], {"A": 3, "B": 4}, [], "NPU took none of 7 nodes; 3 of 7 nodes ran on A; 4 of 7 nodes ran on B"),
    ],
)
def test_a_fallback_in_words(asked: list[str], placement: dict[str, int], dropped: list[str], words: str) -> None:
    assert fell_back(asked, placement, dropped) == words


def test_onnxruntime_counts_the_nodes_that_a_provider_left_to_the_cpu() -> None:
    actual = ran("onnxruntime", "onnx", providers=f"{AZURE}, {CPU}")
    assert actual["providers"] == [AZURE, CPU]
    assert actual["placement"] == {CPU: 7}
    assert actual["fallback"] == f"all 7 nodes ran on {CPU}"
    assert "fallback" not in ran("onnxruntime", "onnx")


def test_an_older_onnxruntime_is_asked_by_a_profile() -> None:
    """It counts nodes as they run, after some were fused."""
    given, _ = tiny_pair("onnx")
    settings = pytest.importorskip("onnxruntime").SessionOptions()
    assert placed(profiled(str(DATA / "tiny.onnx"), [AZURE, CPU], {"input": given}, settings)) == {CPU: 6}


@pytest.mark.parametrize("providers", ["", "CPUExecutionProvider,", "cpu"])
def test_onnxruntime_names_a_provider_that_is_none(providers: str) -> None:
    with pytest.raises(Unsupported, match=f"in this onnxruntime; it has: .*{CPU}"):
        load("onnxruntime", "onnx", providers=providers)


@pytest.mark.parametrize("device", ["AUTO:CPU", "AUTO:-GPU,-NPU", "MULTI:CPU"])
def test_openvino_says_which_device_was_chosen(device: str) -> None:
    actual = ran("openvino", "onnx", device=device, threads=2)
    assert (actual["devices"], actual["threads"], actual["precision"]) == ("CPU", "2", "f32")
    assert actual["fallback"] == ""


def test_openvino_counts_the_operators_of_each_device() -> None:
    actual = ran("openvino", "onnx", device="HETERO:CPU")
    assert actual["placement"] == {"CPU": 33}
    assert (actual["threads"], actual["precision"], actual["fallback"]) == ("1", "f32", "")


@pytest.mark.parametrize("device", ["FPGA", "FPGA.1", "HETERO:FPGA,CPU", "AUTO:FPGA,CPU", "HETERO", "MULTI:", "auto"])
def test_openvino_names_the_devices_there_are(device: str) -> None:
    with pytest.raises(Unsupported, match=r"^no device [^;]+ in OpenVINO here; it has: CPU"):
        load("openvino", "onnx", device=device)


@pytest.fixture(scope="module")
def mean_delegate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library with an external delegate that takes the one MEAN of the model, or nothing."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    library = tmp_path_factory.mktemp("delegate") / "libmean.so"
    source = Path(__file__).parents[1] / "rigs" / "delegate.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return str(library)


@pytest.mark.parametrize(
    ("xnnpack", "delegate", "placement"),
    [(None, "XNNPACK", {"XNNPACK": 5}), ("on", "XNNPACK", {"XNNPACK": 5}), ("off", "none", {"built-in kernels": 5})],
)
def test_tflite_counts_what_xnnpack_takes(xnnpack: str | None, delegate: str, placement: dict[str, int]) -> None:
    actual = ran("tflite", "tflite", **({"xnnpack": xnnpack} if xnnpack else {}))
    assert (actual["delegate"], actual["placement"], actual["fallback"]) == (delegate, placement, "")


@pytest.mark.parametrize(("xnnpack", "rest"), [("on", "XNNPACK"), ("off", "built-in kernels")])
def test_tflite_counts_what_a_delegate_takes(mean_delegate: str, xnnpack: str, rest: str) -> None:
    actual = ran("tflite", "tflite", delegate=mean_delegate, xnnpack=xnnpack)
    assert actual["placement"] == {"libmean.so": 1, rest: 4}
    assert actual["delegate"] == ("libmean.so, XNNPACK" if xnnpack == "on" else "libmean.so")
    assert actual["fallback"] == f"4 of 5 nodes ran on {rest}"


def test_tflite_says_that_a_delegate_takes_nothing(mean_delegate: str) -> None:
    actual = ran("tflite", "tflite", delegate=mean_delegate, delegate_options="take:none;", xnnpack="off")
    assert (actual["delegate"], actual["fallback"]) == ("none", "all 5 nodes ran on built-in kernels")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"delegate_options": "refuse:the device is asleep"}, "the device is asleep"),
        ({"delegate_options": "refuse"}, "are not KEY:VALUE;KEY:VALUE"),
        ({"delegate": "/nothing/libgpu.so"}, "/nothing/libgpu.so: cannot open"),
        ({"delegate": str(DATA / "tiny.onnx")}, "tiny.onnx: "),
        ({"delegate": "libm.so.6"}, "tflite_plugin_create_delegate"),
    ],
)
def test_a_delegate_that_cannot_be_had(mean_delegate: str, options: dict[str, str], why: str) -> None:
    with pytest.raises(Unsupported) as caught:
        load("tflite", "tflite", **{"delegate": mean_delegate, **options})
    assert why in str(caught.value)


def test_a_run_tells_what_fell_back(bench: Bench) -> None:
    bench.copy_model("onnx")
    asked = ("--backends", "onnxruntime", "--backend-option", f"onnxruntime.providers={AZURE}")
    printed = bench("run", "--models", "tiny.onnx", *asked).stdout
    words = f"all 7 nodes ran on {CPU}"
    assert f"fell back local: tiny (onnxruntime, fp32, 1 thread, providers={AZURE}): {words}" in printed
    (row,) = bench.rows("results", "list")
    assert (row["fallback"], row["actual"]["placement"]) == (words, {CPU: 7})
    assert words in next((bench.workspace / "runs").glob("*/report.html")).read_text("utf-8")
