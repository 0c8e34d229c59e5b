"""`bench doctor` on devices whose noise is known, since it is made up."""

from __future__ import annotations

import pytest

from results.judge.change.fitness import FEWEST
from tests.rigs.bench import Bench

DEVICES = """
[devices.calm]
transport = "simulated"
latency_ms = 0.5
[devices.wild]
transport = "simulated"
latency_ms = 0.5
spread = 2.0
"""


@pytest.fixture
def fleet(bench: Bench) -> Bench:
    (bench.folder / "devices.toml").write_text(DEVICES)
    return bench


def doctor(device: str, *arguments: str) -> tuple[str, ...]:
    return "doctor", "--device", device, "--backends", "onnxruntime,tflite", "--measurements", "4", *arguments


def test_a_device_that_finds_a_slowdown(fleet: Bench) -> None:
    found = fleet.json(*doctor("calm"))["doctor"]
    assert found["fit"]
    assert found["problem"] == ""
    assert (found["device"], found["model"], found["profile"]) == ("calm", "bench:control", "standard")
    for backend in found["backends"]:
        assert backend["fit"]
        assert (backend["measurements"], backend["valid"], backend["restarts"]) == (4, 4, 20)
        assert (backend["alarms"], backend["comparisons"]) == (0, 4)
        assert 0.03 <= backend["smallest"] < 0.04
        assert backend["spread"] < 0.005
    assert {knob["name"] for knob in found["knobs"]} >= {"governor", "real-time", "marks", "virtual machine"}
    assert fleet.json("results", "runs")["runs"] == []


def test_a_device_that_does_not(fleet: Bench) -> None:
    said = fleet(*doctor("wild", "--profile", "quick", "--against", "native"), expect=1).stdout
    assert "wild: not fit to find a slowdown of 5%: onnxruntime: " in said
    assert "4 times 5 restarts of the profile quick" in said
    assert "its own tool    litert_benchmark says " in said
    assert "its own tool    its package has none" in said
    assert "governor        cannot be read" in said
    assert "to do: nothing tells which inferences lost their core" in said


def test_beside_the_runtimes_own_tools(fleet: Bench) -> None:
    asked = "doctor", "--device", "calm", "--measurements", "4", "--against", "native"
    found = {one["backend"]: one["native"] for one in fleet.json(*asked)["doctor"]["backends"]}
    assert {name: native["tool"] for name, native in found.items()} == {
        "onnxruntime": None,
        "openvino": "benchmark_app",
        "tflite": "litert_benchmark",
    }
    assert "onnxruntime_test computes with all cores" in found["onnxruntime"]["reason"]
    for name in ("openvino", "tflite"):
        native = found[name]
        assert native["restarts"] == 5
        assert native["ratio"] == pytest.approx(native["bench_ms"] / native["tool_ms"])
        assert native["least"] <= native["ratio"] <= native["most"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "nowhere"), "no device"),
        (("--device", "calm", "--model", "quick"), "models; name one"),
        (("--device", "calm", "--model", "nothing.onnx"), "nothing.onnx"),
        (("--device", "calm", "--measurements", str(FEWEST - 1)), "is not in the range"),
    ],
)
def test_what_was_mistyped(fleet: Bench, arguments: tuple[str, ...], words: str) -> None:
    assert words in fleet("doctor", *arguments, expect=2).stderr
