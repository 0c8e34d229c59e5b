"""What a runtime is asked to run on and what it runs on, with real runtimes and accelerators that take little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backends.base import Session, Unsupported, fell_back
from backends.onnxruntime_profile import placed, profiled, worked
from backends.openvino import shared_out
from tests.backends.test_contract import load
from tests.rigs.bench import DATA, Bench, tiny_pair

CPU = "CPUExecutionProvider"
# In every package of ONNX Runtime for the CPU, and takes no node of an ordinary model.
AZURE = "AzureExecutionProvider"
# Multiply-adds of the tiny model's convolutions; its matrix product has 160.
CONV, DEPTHWISE = 32 * 32 * 16 * 3 * 9, 32 * 32 * 16 * 9


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
    assert (actual["asked"], actual["placement"]) == ([AZURE], {CPU: 7})
    assert actual["fallback"] == f"all 7 nodes ran on {CPU}"
    assert not {"asked", "fallback"} & ran("onnxruntime", "onnx").keys()


class Split:
    """A session of ONNX Runtime of which some nodes are told to lie on a provider that is not in this package."""

    def __init__(self, session: Any, kinds: tuple[str, ...]) -> None:
        self._session = session
        self._kinds = kinds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_provider_graph_assignment_info(self) -> list[Any]:
        nodes = [node for part in self._session.get_provider_graph_assignment_info() for node in part.get_nodes()]
        parts = {AZURE: [], CPU: []}  # type: dict[str, list[Any]]
        for node in nodes:
            parts[AZURE if node.op_type in self._kinds else CPU].append(node)
        return [SimpleNamespace(ep_name=where, get_nodes=lambda one=one: one) for where, one in parts.items()]


@pytest.mark.parametrize(
    ("taken", "nodes", "work"),
    [
        (("Gemm", "Clip"), {AZURE: 3, CPU: 4}, {AZURE: 160, CPU: CONV + DEPTHWISE}),
        (("Conv",), {AZURE: 2, CPU: 5}, {AZURE: CONV + DEPTHWISE, CPU: 160}),
        (("Conv", "Gemm"), {AZURE: 3, CPU: 4}, {AZURE: CONV + DEPTHWISE + 160, CPU: 0}),
        ((), {CPU: 7}, None),  # all of it is on one, so that there is nothing to share out
    ],
)
def test_onnxruntime_weighs_the_nodes_by_their_multiply_adds(
    taken: tuple[str, ...], nodes: dict[str, int], work: dict[str, int] | None
) -> None:
    session: Any = load("onnxruntime", "onnx", providers=f"{AZURE},{CPU}")
    session.bind([("input", tiny_pair("onnx")[0])])
    session._session = Split(session._session, taken)
    actual = session.examine()
    assert (actual["placement"], actual.get("multiply_adds")) == (nodes, work)


def test_a_network_that_the_cpu_does_not_get_done_is_given_up() -> None:
    settings = pytest.importorskip("onnxruntime").SessionOptions()
    settings.log_severity_level = 4
    given, _ = tiny_pair("onnx")
    with pytest.raises(Exception, match="terminate"):
        profiled(str(DATA / "tiny.onnx"), [CPU], {"input": given}, settings, 10**9, 0.05)


def test_a_node_that_has_no_name_of_its_own_leaves_the_work_unknown() -> None:
    event = {"name": "a", "input_type_shape": [{"float": [2, 3]}, {"float": [3, 4]}], "output_type_shape": []}
    made = {**event, "output_type_shape": [{"float": [2, 4]}]}
    node = SimpleNamespace(name="a", op_type="MatMul", domain="")
    other = SimpleNamespace(name="b", op_type="Relu", domain="")
    assert worked([("GPU", node), (CPU, other)], [made]) == {"GPU": 24, CPU: 0}
    assert worked([("GPU", node)], [made, made]) is None
    assert worked([("GPU", SimpleNamespace(name="", op_type="MatMul", domain=""))], [made]) is None
    assert worked([("GPU", node)], [event]) is None
    assert worked([("GPU", SimpleNamespace(name="c", op_type="Mine", domain="my.domain"))], [made]) is None


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
    assert (actual["fallback"], actual["placement"], "asked" in actual) == ("", {"CPU": 33}, False)


def test_openvino_weighs_the_operators_by_their_multiply_adds() -> None:
    model = pytest.importorskip("openvino").Core().read_model(str(DATA / "tiny.onnx"))
    names = [operator.get_friendly_name() for operator in model.get_ops()]
    first = {name: "GPU" if name.startswith("node_conv2d/") else "CPU" for name in names}
    found = shared_out(model, first, ["GPU"])
    assert (found["placement"], found["fallback"]) == ({"CPU": 32, "GPU": 1}, "32 of 33 nodes ran on CPU")
    assert found["multiply_adds"] == {"GPU": CONV, "CPU": DEPTHWISE + 160}
    assert found["left"]["GroupConvolution"] == 1
    assert "multiply_adds" not in shared_out(model, dict.fromkeys(names, "CPU"), ["GPU"])
    model.reshape([1, 3, -1, 64])
    assert "multiply_adds" not in shared_out(model, first, ["GPU"])  # a size is open


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
    assert (actual["asked"], actual["fallback"]) == (["libmean.so"], f"4 of 5 nodes ran on {rest}")
    assert actual["multiply_adds"] == {"libmean.so": 0, rest: CONV + DEPTHWISE + 160}
    assert actual["left"] == dict.fromkeys(("PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), 1)


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
    whole = {"asked": [AZURE], "nodes": 7, "nodes_elsewhere": 7, "multiply_adds_share_elsewhere": 1.0}
    assert row["placement"] == whole
    assert words in next((bench.workspace / "runs").glob("*/report.html")).read_text("utf-8")


def test_a_strict_run_fails_what_fell_back(bench: Bench, mean_delegate: str) -> None:
    bench.copy_model("tflite")
    asked = ("--backends", "tflite,fake", "--backend-option", f"tflite.delegate={mean_delegate}")
    failed, plain = bench.rows("run", "--strict", "--models", "tiny.tflite", *asked, expect=1)
    assert (failed["verdict"], failed["median_ms"], plain["verdict"] != "failed") == ("failed", None, True)
    left = "1 CONV_2D, 1 DEPTHWISE_CONV_2D, 1 FULLY_CONNECTED, 1 PAD"
    assert failed["reason"].startswith(
        "not wholly where it was asked to be: 4 of 5 nodes ran on XNNPACK (100 % of the multiply-adds); "
        f"what was not taken: {left}; change these operators"
    )
    part = {"asked": ["libmean.so"], "nodes": 5, "nodes_elsewhere": 4, "multiply_adds_share_elsewhere": 1.0}
    assert (failed["placement"], plain["placement"]) == (part, None)
    page = next((bench.workspace / "runs").glob("*/report.html")).read_text("utf-8")
    assert "4 of 5 nodes, 100 % of multiply-adds" in page
