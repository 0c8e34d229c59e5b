"""The backend that runs TFLite's Android tool, with a stand-in that prints as each generation of the tool does."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import Session, Unsupported
from backends.benchmark_model import BenchmarkModel, parse, placement

OLDEST = """STARTING!
Initialized session in 9.9ms
Running benchmark for at least 4 iterations and at least 0.5 seconds
count=7 first=2000 curr=1100 min=1050 max=2000 avg=1200.5 std=300

Running benchmark for at least 10 iterations and at least 1 seconds
count=15 first=1010 curr=1000 min=990 max=1020 avg=1000.5 std=9

Average inference timings in us: Warmup: 1200.5, Init: 9900, no stats: 1000.5
"""

LATER = """INFO: Created TensorFlow Lite delegate for GPU.
Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 2 delegate kernels.
count=2 first=2000 curr=1100 min=1050 max=2000 avg=1200.5 std=300
count=15 first=1500 curr=1000 min=990 max=1500 avg=1000.5 std=9
Inference timings in us: Init: 9900, First inference: 2100, Warmup (avg): 1200.5, Inference (avg): 1000.5
Memory footprint delta from the start of the tool (MB): init=6.7 overall=63.4
Timings (microseconds): count=99 first=1 curr=1 min=1 max=1 avg=1 std=0
"""

CURRENT = """INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.
INFO: count=1 curr=2100 p5=2100 median=2100 p95=2100
INFO: count=25 first=1001 curr=1000 min=990 max=1500 avg=1030.5 std=9e+01 p5=992 median=1000 p95=1400
INFO: Inference timings in us: Init: 9900, First inference: 2100, Warmup (avg): 2100, Inference (avg): 1030.5
"""

# Of a GPU that took a part, and of a profile whose lines of counts are about single operators.
CURRENT_GPU = """VERBOSE: Replacing 54 out of 559 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 3
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate.
VERBOSE: Replacing 456 out of 506 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 5 partitions.
INFO: count=1 curr=360262 p5=360262 median=360262 p95=360262
INFO: count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442 p5=248000 median=249500 p95=253000
INFO: Inference timings in us: Init: 16242, First inference: 360262, Warmup (avg): 360262, Inference (avg): 249684
Timings (microseconds): count=99 first=1 curr=1 min=1 max=1 avg=1 std=0
"""
OLD_PROFILED = """count=1 curr=83235
count=50 first=79700 curr=81350 min=77385 max=88213 avg=79760.9 std=1929
Timings (microseconds): count=50 first=7 curr=8 min=7 max=8 avg=7 std=1
Memory (bytes): count=0
Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9
"""
LITERT = """[litert] INFO: Replacing 69 out of 69 node(s) with delegate (LITERT_CL) node, yielding 1 partitions.
INFO: [benchmark_litert_model.h:66]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:67] Model initialization: 105.10 ms
INFO: [benchmark_litert_model.h:68] Warmup (first):       7.62 ms
INFO: [benchmark_litert_model.h:70] Warmup (avg):         3.13 ms (160 runs)
INFO: [benchmark_litert_model.h:72] Inference (avg):      3.02 ms (331 runs)
INFO: [benchmark_litert_model.h:76] Inference (min):      2.88 ms
INFO: [benchmark_litert_model.h:78] Inference (max):      4.66 ms
INFO: [benchmark_litert_model.h:80] Inference (std):      0.19
INFO: [benchmark_litert_model.h:89] Throughput:           199.20 MB/s
======================================
"""
LITERT_COUNTS = (
    "INFO: count=160 first=7620 curr=3000 min=2900 max=7620 avg=3131.2 std=300 p5=2950 median=3100 p95=3400\n"
    "INFO: count=331 first=3010 curr=3000 min=2880 max=4660 avg=3020.4 std=190 p5=2900 median=2990 p95=3300\n" + LITERT
)

PROFILE = {
    "warmup_min_iterations": 2,
    "warmup_min_seconds": 0.25,
    "min_iterations": 15,
    "min_seconds": 1.5,
    "max_seconds": 9.0,
}


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., Session]:
    """Loads a model into a stand-in that prints what it is given and ends with a code."""

    def make(prints: str, code: int = 0, **options: str) -> Session:
        tool = tmp_path / "benchmark_model"
        log = tmp_path / "arguments"
        tool.write_text(
            f"#!{sys.executable}\nimport sys\nopen({str(log)!r}, 'w').write('\\n'.join(sys.argv[1:]))\n"
            f"print({prints!r})\nsys.exit({code})\n"
        )
        tool.chmod(0o644)  # as a push may leave it
        chosen = {"threads": 2, "precision": "fp32", "binary": str(tool), **options}
        return BenchmarkModel().load("/model.tflite", [], chosen)

    return make


def test_a_tool_of_another_machine(tmp_path: Path) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF of another machine")
    loaded = BenchmarkModel().load("/model.tflite", [], {"threads": 1, "precision": "fp32", "binary": str(tool)})
    with pytest.raises(Unsupported, match=r"cannot be started: Exec format error; it is not for this machine \("):
        loaded.aggregate(PROFILE)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_folder_that_is_mounted_noexec(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        tool = tmp_path / "benchmark_model"
        tool.write_text("#!/bin/sh\n")
        loaded = BenchmarkModel().load("/model.tflite", [], {"threads": 1, "precision": "fp32", "binary": str(tool)})
        with pytest.raises(Unsupported, match=r"Permission denied; its folder may be mounted noexec: name another"):
            loaded.aggregate(PROFILE)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("text", "first", "warmup", "sample", "stable", "took"),
    [
        (OLDEST, 2_000_000, 1_200_500, 1_000_500, True, "unknown"),
        (LATER, 2_100_000, 1_200_500, 1_000_500, False, "part of it"),
        (CURRENT, 2_100_000, 2_100_000, 1_000_000, True, "none of it"),
        (CURRENT_GPU, 360_262_000, 360_262_000, 249_500_000, True, "part of it"),
        (OLD_PROFILED, 83_235_000, 83_235_000, 79_760_900, True, "unknown"),
        (LITERT, 7_620_000, 3_130_000, 3_020_000, True, "all of it"),
        (LITERT_COUNTS, 7_620_000, 3_130_000, 2_990_000, True, "all of it"),
    ],
)
def test_every_format_is_read(text: str, first: int, warmup: int, sample: int, stable: bool, took: str) -> None:
    told = parse(text)
    assert told.load_ns in (9_900_000, 16_242_000, 38_467_000, 105_100_000)
    assert (told.first_ns, told.warmup_ns, told.sample_ns) == (first, warmup, sample)
    assert told.stable is stable
    assert told.details["count"] in (15, 25, 50, 331)
    assert told.details["max"] > told.details["min"]
    assert placement(text, "gpu")["delegate_took"] == took


@pytest.mark.parametrize(
    ("text", "delegate", "nodes", "fallback"),
    [
        (CURRENT_GPU, "gpu", {"TfLiteGpuDelegateV2": 54, "CPU": 505}, "505 of 559 nodes ran on CPU"),
        (CURRENT, "nnapi", None, "the delegate nnapi took nothing, the whole graph ran on CPU"),
        (LATER, "gpu", None, "part of the graph ran on CPU"),
        (OLDEST, "hexagon", None, "the tool does not tell how much of the graph the delegate hexagon took"),
        (LITERT, "npu", {"LITERT_CL": 69, "CPU": 0}, ""),
        ("Replacing 60 out of 64 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding", "xnnpack",
         {"TfLiteXNNPackDelegate": 60, "built-in kernels": 4}, "4 of 64 nodes ran on built-in kernels"),
        ("Replacing 126 node(s) with delegate (TfLiteNnapiDelegate) node, yielding 1 partitions.", "nnapi",
         {"TfLiteNnapiDelegate": 126}, "the tool does not tell how much of the graph the delegate nnapi took"),
    ],
)  # fmt: skip
def test_what_the_delegate_left_is_told(text: str, delegate: str, nodes: dict[str, int] | None, fallback: str) -> None:
    actual = placement(text, delegate)
    assert (actual.get("placement"), actual["fallback"]) == (nodes, fallback)
    assert "fallback" not in placement(text, "none")


@pytest.mark.parametrize(
    "text",
    ["", "count=5 first=1 curr=1 min=1 max=1 avg=1 std=0", "Inference timings in us: x", "Inference (avg): 3.02 ms"],
)
def test_other_output_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no timings"):
        parse(text)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Inference (avg): 1030.5", "Inference (avg): 900", "contradicts itself"),
        ("max=1500", "max=800", "contradicts itself"),
        ("median=1000", "median=1e99", "cannot be"),
        ("Init: 9900", "Init: -1", "cannot be"),
        ("avg=1030.5", "avg=1e999", "cannot be"),
        ("count=25", "count=0", "no timings"),
        ("Init: 9900", "Init: soon", "cannot be: soon"),
    ],
)
def test_impossible_timings_are_an_error(old: str, new: str, why: str) -> None:
    assert old in CURRENT
    with pytest.raises(ValueError, match=why):
        parse(CURRENT.replace(old, new))


PIECES = st.sampled_from(
    [
        *CURRENT.split(),
        *LITERT.split(),
        *OLD_PROFILED.split(),
        "\n",
        " ",
        "1e400",
        "nan",
        "-1",
        "9" * 30,
        "count=",
        ": ",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=30))
def test_whatever_a_tool_prints_is_a_possible_time_or_an_error(pieces: list[str]) -> None:
    text = " ".join(pieces)
    json.dumps(placement(text, "gpu"))
    with contextlib.suppress(ValueError):
        told = parse(text)
        times = [told.load_ns, told.first_ns, told.warmup_ns, told.sample_ns, *told.details.values()]
        assert all(0 <= time <= 86_400 * 10**9 for time in times)
        json.dumps(told.details)


TIMES = st.integers(1, 10**8)


@given(load=TIMES, first=TIMES, warmup=TIMES, times=st.lists(TIMES, min_size=2, max_size=30), litert=st.booleans())
def test_what_a_tool_tells_comes_back(load: int, first: int, warmup: int, times: list[int], litert: bool) -> None:
    average = sum(times) / len(times)
    counts = (
        f"INFO: count=1 curr={first}\nINFO: count={len(times)} first={times[0]} curr={times[-1]} min={min(times)} "
        f"max={max(times)} avg={average:g} std=1\n"
    )
    end = (
        f"Model initialization: {load / 1000:.2f} ms\nWarmup (first):       {first / 1000:.2f} ms\n"
        f"Warmup (avg):         {warmup / 1000:.2f} ms (1 runs)\n"
        f"Inference (avg):      {average / 1000:.2f} ms ({len(times)} runs)\n"
        if litert
        else f"Inference timings in us: Init: {load}, First inference: {first}, Warmup (avg): {warmup:g}, "
        f"Inference (avg): {average:g}\n"
    )
    told = parse(counts + end)
    shown = {"load_ns": load, "first_ns": first, "warmup_ns": warmup, "sample_ns": average}
    for name, microseconds in shown.items():
        assert getattr(told, name) == pytest.approx(1000 * microseconds, rel=1e-5, abs=5001)
    assert told.details["count"] == len(times)


def test_the_tool_gets_the_profile_and_the_row_says_what_it_holds(
    session: Callable[..., Session], tmp_path: Path
) -> None:
    made = session(CURRENT, delegate="nnapi", arguments="--nnapi_allow_fp16=true --x=1")
    told = made.aggregate(PROFILE)
    assert told
    assert told.sample_ns == 1_000_000
    assert (tmp_path / "arguments").read_text().split("\n") == [
        "--graph=/model.tflite", "--num_threads=2", "--use_nnapi=true", "--use_xnnpack=false",
        "--nnapi_allow_fp16=true", "--x=1", "--warmup_runs=2", "--warmup_min_secs=0.25", "--num_runs=15",
        "--min_secs=1.5", "--max_secs=9.0",
    ]  # fmt: skip
    actual = made.actual()
    assert actual["aggregates"] == "each restart is the median that the tool told, of random inputs, unchecked"
    assert (actual["delegate"], actual["delegate_took"], actual["threads"]) == ("nnapi", "none of it", 2)
    assert len(actual["tool_sha256"]) == 64


def test_the_tool_gets_the_signature(session: Callable[..., Session], tmp_path: Path) -> None:
    session(CURRENT, signature="small").aggregate(PROFILE)
    assert "--signature_to_run_for=small" in (tmp_path / "arguments").read_text().split("\n")


def test_a_tool_that_fails_is_quoted(session: Callable[..., Session]) -> None:
    with pytest.raises(RuntimeError, match="ended with code 3 and said: ERROR: no such delegate"):
        session("STARTING!\nERROR: no such delegate", 3).aggregate(PROFILE)


def test_of_endless_output_the_beginning_and_the_end_are_kept(session: Callable[..., Session]) -> None:
    made = session(CURRENT_GPU.split("INFO: count")[0] + "x\n" * (1 << 20) + CURRENT_GPU)
    told = made.aggregate(PROFILE)
    assert told
    assert told.sample_ns == 249_500_000
    assert made.actual()["delegate_took"] == "part of it"


def test_what_is_not_there_is_unsupported(session: Callable[..., Session]) -> None:
    with pytest.raises(Unsupported, match="no delegate tpu; there are: none, xnnpack, gpu"):
        session("", delegate="tpu")
    with pytest.raises(Unsupported, match="/nothing is no program"):
        session("", binary="/nothing")
    with pytest.raises(Unsupported, match="this copy of the tool has no delegate hexagon: it does not know --use_hex"):
        session("WARN: Unconsumed cmdline flags: --use_hexagon=true --x\n" + CURRENT, delegate="hexagon").aggregate(
            PROFILE
        )
    with pytest.raises(Unsupported, match="no option turbo; it has: binary"):
        session("", turbo="on")
