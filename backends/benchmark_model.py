"""TFLite's own Android tool, for what only a phone's own libraries can do: its GPU, NPU and NNAPI delegates.

A pushed interpreter cannot load those. The user's own copy of the tool runs the model; it feeds it random inputs,
checks no output and tells averages, so each restart brings one number and its row says so.
"""

import hashlib
import os
import re
import subprocess
from typing import Any, Dict, List, Optional, Tuple

from backends.base import Aggregate, Backend, Session, Unsupported, check_options

# delegate -> the flags that ask for it and for no other. XNNPACK is on by default in newer tools.
_DELEGATES = {
    "none": ("--use_xnnpack=false",),
    "xnnpack": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true", "--use_xnnpack=false"),
    "nnapi": ("--use_nnapi=true", "--use_xnnpack=false"),
    "hexagon": ("--use_hexagon=true", "--use_xnnpack=false"),
}

_STATISTICS = re.compile(r"\bcount=(\d+)((?: (?:first|curr|min|max|avg|std|p5|median|p95)=[-+0-9.e]+)+)")
_TIMINGS = re.compile(r"[Ii]nference timings in us: (.*)")
# What it says of the delegate: that the graph is executed by it completely, partially or not at all.
_PLACEMENT = re.compile(r"model graph will (not be|be (?:completely|partially)) executed by the delegate")
_SHARES = {"not be": "none of it", "be completely": "all of it", "be partially": "part of it"}

# The first timed inference is within this of the average, or the device was still changing speed.
_SETTLED_WITHIN = 0.05


class BenchmarkModel(Backend):
    """Options: `binary` (the tool's path on the device), `delegate` (default gpu), `arguments` (more of the tool's own
    flags, separated by blanks).
    """

    name = "benchmark_model"
    formats = ("tflite",)
    packages = ()

    def version(self) -> str:
        return "benchmark_model unknown"  # the tool does not say; the result has its hash

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        check_options(self.name, options, ("binary", "delegate", "arguments"))
        binary = str(options.get("binary", ""))
        if not os.access(binary, os.X_OK) or os.path.isdir(binary):
            hint = "push your copy of TFLite's benchmark_model there and name it with the option binary"
            raise Unsupported("{} is no program on the device: {}".format(binary or "the tool", hint))
        delegate = str(options.get("delegate", "gpu"))
        if delegate not in _DELEGATES:
            raise Unsupported("no delegate {}; there are: {}".format(delegate, ", ".join(_DELEGATES)))
        threads = int(options["threads"])
        command = [binary, "--graph=" + path, "--num_threads={}".format(threads), *_DELEGATES[delegate]]
        return BenchmarkModelSession(command + str(options.get("arguments", "")).split(), delegate, threads)


class BenchmarkModelSession(Session):
    """One run of the tool."""

    def __init__(self, command: List[str], delegate: str, threads: int) -> None:
        self._command = command
        self._actual = {"delegate": delegate, "threads": threads, "precision": "unknown"}  # type: Dict[str, Any]

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        """The tool makes inputs of its own."""

    def run(self) -> None:
        raise NotImplementedError("the tool times its inferences itself")

    def outputs(self) -> List[Any]:
        return []

    def actual(self) -> Dict[str, Any]:
        return self._actual

    def aggregate(self, profile: Dict[str, Any]) -> Optional[Aggregate]:
        counts = [
            "--warmup_runs={}".format(int(profile["warmup_min_iterations"])),
            "--warmup_min_secs={}".format(float(profile["warmup_min_seconds"])),
            "--num_runs={}".format(int(profile["min_iterations"])),
            "--min_secs={}".format(float(profile["min_seconds"])),
            "--max_secs={}".format(float(profile["max_seconds"])),
        ]
        ended = subprocess.run(
            self._command + counts,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        text = ended.stdout[-(1 << 20) :].decode("utf-8", "replace")
        if ended.returncode != 0:
            said = (text.strip().splitlines() or ["nothing"])[-1]
            raise RuntimeError("the tool ended with code {} and said: {}".format(ended.returncode, said[:500]))
        told = parse(text)
        with open(self._command[0], "rb") as file:
            tool = hashlib.sha256(file.read()).hexdigest()
        self._actual.update(aggregate=told.details, delegate_took=placement(text), tool_sha256=tool)
        self._actual["samples"] = "one per restart, the tool's {} of {} inferences on random inputs".format(
            "median" if "median" in told.details else "average", told.details["count"]
        )
        return told


def placement(text: str) -> str:
    """Return how much of the graph the delegate took, as far as the tool says."""
    shares = [_SHARES[found] for found in _PLACEMENT.findall(text)]
    return shares[-1] if shares else "unknown"


def parse(text: str) -> Aggregate:
    """Read the tool's output, in any of its formats. Raises ValueError when the timings are not in it.

    The oldest ends in `no stats: 66767.6`, later ones in `Inference (avg): 66767.6`; newest ones add percentiles to the
    line of counts and a prefix to every line. Its times are microseconds.
    """
    summary = _TIMINGS.search(text)
    # Counts behind the summary are those of single operators.
    counts = _STATISTICS.findall(text, 0, summary.start()) if summary else []
    if not summary or not counts:
        raise ValueError("the tool's output has no timings: is it TFLite's benchmark_model?")
    blocks = [_statistics(count, fields) for count, fields in counts]
    timings = {key.strip(): value for key, _, value in (part.partition(":") for part in summary.group(1).split(","))}
    timed, warmup = blocks[-1], blocks[0] if len(blocks) > 1 else None
    center = timed.get("median", timed["avg"])
    first = (
        _ns(timings["First inference"]) if "First inference" in timings else blocks[0].get("first", blocks[0]["avg"])
    )
    return Aggregate(
        load_ns=_ns(timings["Init"]),
        first_ns=first,
        warmup_ns=warmup["avg"] if warmup else first,
        stable=abs(timed.get("first", center) - center) <= _SETTLED_WITHIN * center,
        sample_ns=center,
        details=timed,
    )


def _statistics(count: str, fields: str) -> Dict[str, Any]:
    """Return the numbers of one line of counts, times in ns; with one inference there is `curr` alone."""
    numbers = {key: _ns(value) for key, _, value in (field.partition("=") for field in fields.split())}
    numbers.setdefault("avg", numbers.get("curr", 0))
    return {"count": int(count), **numbers}


def _ns(microseconds: Any) -> int:
    return int(float(microseconds) * 1000)
