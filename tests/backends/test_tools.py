"""The runtimes' own tools that come with their packages, and what is read of their output."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import backends
from backends import benchmark_app, benchmark_model
from backends.base import Session, Unsupported
from backends.program import output, python
from tests.rigs.bench import DATA, SHAPES

PROFILE = {"min_iterations": 5, "min_seconds": 0.0, "warmup_min_iterations": 1, "warmup_min_seconds": 0.0}
OPTIONS = {"threads": 1, "precision": "fp32"}

# Of the release 2026.4; a model of more than 1 ms is told in ms.
APP = """[ INFO ] Read model took 9.75 ms
[ INFO ] Compile model took 31.91 ms
[ INFO ] First inference took 1.15 ms
[ INFO ] Count:            21527 iterations
[ INFO ] Duration:         1000.02 ms
[ INFO ] Latency:
[ INFO ]    Median:        26.87 us
[ INFO ]    Average:       40.70 us
[ INFO ]    Min:           26.34 us
[ INFO ]    Max:           6373.29 us
[ INFO ] Throughput:   21526.48 FPS
"""
LITERT = """Model initialization:  4.78 ms
Warmup (first):        4.52 ms
Warmup (avg):          0.96 ms (5 runs)
Inference (avg):       1.05 ms (200 runs)
Inference (min):       0.92 ms
Inference (max):       4.48 ms
Inference (median):    0.98 ms
Inference (std):       0.32 ms
Inference (p95):       1.03 ms
"""


def load(name: str, kind: str, **options: Any) -> Session:
    spec = {"name": "input", "dtype": "float32", "shape": list(SHAPES[kind])}
    return backends.find(name)().load(str(DATA / f"tiny.{kind}"), [spec], {**OPTIONS, **options})


@pytest.mark.parametrize(("name", "kind"), [("benchmark_app", "onnx"), ("litert_benchmark", "tflite")])
def test_a_tool_measures_the_file(name: str, kind: str) -> None:
    profile = {**PROFILE, "min_seconds": 0.01 if kind == "tflite" else 0.0}
    session = load(name, kind)
    found = session.aggregate(profile)
    assert found is not None
    assert found.details["count"] >= 5
    assert found.details["min"] <= found.sample_ns <= found.details["max"]
    assert found.load_ns > 0
    actual = session.actual()
    assert actual["threads"] == 1
    assert "median that the tool told" in actual["aggregates"]
    assert not session.outputs()
    with pytest.raises(Unsupported, match="times its inferences itself"):
        session.run()
    assert backends.find(name)().version().split()[0] in backends.find(name).packages


@pytest.mark.parametrize("text", [APP, APP.replace(" us", " ms")])
def test_what_openvino_s_tool_prints(text: str) -> None:
    found = benchmark_app.parse(text)
    unit = 1000 if text is APP else 10**6
    assert found.sample_ns == pytest.approx(26.87 * unit, abs=1)
    assert found.load_ns == pytest.approx(41.66e6, abs=2)
    assert found.first_ns == pytest.approx(1.15e6, abs=1)
    assert found.details["count"] == 21527


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        ("Count: ", "Runs: ", "no timings"),
        ("21527", "0", "no timings"),
        ("Median", "Middle", "no timings"),
        ("26.87", "9.0", "contradicts itself"),
        ("26.87", "9" * 20, "cannot be"),
        ("26.87", "2.6.8", "float"),
    ],
)
def test_output_that_cannot_be(was: str, becomes: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        benchmark_app.parse(APP.replace(was, becomes))


@given(st.text(alphabet="] Median:Count0123456789.usm iterations\n", max_size=200))
def test_a_tool_may_print_anything(text: str) -> None:
    with pytest.raises(ValueError, match=r"the tool's output|float"):
        benchmark_app.parse(text)


def test_what_litert_s_tool_prints() -> None:
    found = benchmark_model.parse(LITERT)
    assert found.sample_ns == 980_000  # the median, not the average
    assert (found.details["count"], found.load_ns, found.first_ns) == (200, 4_780_000, 4_520_000)


@pytest.mark.parametrize(
    ("name", "kind", "options", "words"),
    [
        ("benchmark_app", "tflite", {"signature": "b"}, "only the first graph"),
        ("benchmark_app", "onnx", {"precision_of_all": "f16"}, "no option precision_of_all"),
        ("litert_benchmark", "tflite", {"xnnpack": "off"}, "no option xnnpack"),
    ],
)
def test_what_a_tool_cannot_do(name: str, kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        load(name, kind, **options)


def test_inputs_of_several_types_have_no_flag() -> None:
    specs = [{"name": "a", "dtype": "float32", "shape": [1]}, {"name": "b", "dtype": "int32", "shape": [1]}]
    with pytest.raises(Unsupported, match="one type of numbers"):
        backends.find("benchmark_app")().load(str(DATA / "tiny.onnx"), specs, OPTIONS)


def test_a_program_that_fails_or_is_not_there() -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 1 and said: .*ModuleNotFoundError"):
        output(python("nothing_of_that_name"))
    with pytest.raises(Unsupported, match="cannot be started"):
        output(["/nothing/here"])
