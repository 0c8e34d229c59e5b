"""The backend that runs TFLite's Android tool, with a stand-in that prints as each generation of the tool does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
        tool.chmod(0o755)
        chosen = {"threads": 2, "precision": "fp32", "binary": str(tool), **options}
        return BenchmarkModel().load("/model.tflite", [], chosen)

    return make


@pytest.mark.parametrize(
    ("text", "first", "warmup", "sample", "stable", "took"),
    [
        (OLDEST, 2_000_000, 1_200_500, 1_000_500, True, "unknown"),
        (LATER, 2_100_000, 1_200_500, 1_000_500, False, "part of it"),
        (CURRENT, 2_100_000, 2_100_000, 1_000_000, True, "none of it"),
    ],
)
def test_every_format_is_read(text: str, first: int, warmup: int, sample: int, stable: bool, took: str) -> None:
    told = parse(text)
    assert (told.load_ns, told.first_ns, told.warmup_ns, told.sample_ns) == (9_900_000, first, warmup, sample)
    assert told.stable is stable
    assert told.details["count"] in (15, 25)
    assert told.details["max"] > told.details["min"]
    assert placement(text) == took


@pytest.mark.parametrize("text", ["", "count=5 first=1 curr=1 min=1 max=1 avg=1 std=0", "Inference timings in us: x"])
def test_other_output_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no timings"):
        parse(text)


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
    assert actual["samples"] == "one per restart, the tool's median of 25 inferences on random inputs"
    assert (actual["delegate"], actual["delegate_took"], actual["threads"]) == ("nnapi", "none of it", 2)
    assert len(actual["tool_sha256"]) == 64


def test_a_tool_that_fails_is_quoted(session: Callable[..., Session]) -> None:
    with pytest.raises(RuntimeError, match="ended with code 3 and said: ERROR: no such delegate"):
        session("STARTING!\nERROR: no such delegate", 3).aggregate(PROFILE)


def test_what_is_not_there_is_unsupported(session: Callable[..., Session]) -> None:
    with pytest.raises(Unsupported, match="no delegate tpu; there are: none, xnnpack, gpu"):
        session("", delegate="tpu")
    with pytest.raises(Unsupported, match="/nothing is no program on the device"):
        session("", binary="/nothing")
    with pytest.raises(Unsupported, match="no option turbo; it has: binary"):
        session("", turbo="on")
