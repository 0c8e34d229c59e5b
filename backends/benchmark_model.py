"""TFLite's own Android tool, for what only a phone's own libraries can do: its GPU, NPU and NNAPI delegates.

A pushed interpreter cannot load those. The user's own copy of the tool runs the model; it feeds it random inputs,
checks no output and tells averages, so each restart brings one number and its row says so.
"""

import contextlib
import hashlib
import os
import re
from typing import Any, ClassVar, Dict, List, Optional, Tuple

from backends.base import Aggregate, Backend, Precisions, Session, Unsupported, Way, check_options
from backends.program import output
from backends.toolsession import ToolSession

# delegate -> the flags that ask for it and for no other, the one that must be known first. XNNPACK is on by default in
# newer tools. `npu` is LiteRT's alone.
_DELEGATES = {
    "none": ("--use_xnnpack=false",),
    "xnnpack": ("--use_xnnpack=true",),
    "gpu": ("--use_gpu=true", "--use_xnnpack=false"),
    "nnapi": ("--use_nnapi=true", "--use_xnnpack=false"),
    "npu": ("--use_npu=true",),
    "hexagon": ("--use_hexagon=true", "--use_xnnpack=false"),
}

_MOST_US = 86400 * 10**6
_MOST_RUNS = 10**9

_STATISTICS = re.compile(r"\bcount=(\d{1,10})((?: (?:first|curr|min|max|avg|std|p5|median|p95)=[-+0-9.e]{1,30})+)")
# The same line about single operators, when the user asks for a profile.
_OF_OPERATORS = re.compile(r"\b(?:Timings \(microseconds\)|Memory \(bytes\)): ")
_TIMINGS = re.compile(r"[Ii]nference timings in us: (.*)")
_NAMES = {
    "Init": "load",
    "First inference": "first",
    "Warmup": "warmup",
    "Warmup (avg)": "warmup",
    "Inference": "avg",
    "Inference (avg)": "avg",
    "no stats": "avg",
}
# LiteRT's, in milliseconds.
_LITERT_NAMES = {
    "Model initialization": "load",
    "Warmup (first)": "first",
    "Warmup (avg)": "warmup",
    "Inference (avg)": "avg",
    "Inference (min)": "min",
    "Inference (max)": "max",
    "Inference (median)": "median",
    "Inference (std)": "std",
}
_LITERT = re.compile(
    r"({}): {{1,20}}([-+0-9.e]{{1,30}})(?: ms)?(?: \((\d{{1,10}}) runs\))?".format(
        "|".join(map(re.escape, _LITERT_NAMES))
    )
)

# What it says of a delegate: that the graph is executed by it completely, partially or not at all.
_PLACEMENT = re.compile(
    r"(?:applied|Though) (\S{1,40}) delegate.{0,40} model graph will (not be|be completely|be partially) executed by"
)
_SHARES = {"not be": "none of it", "be completely": "all of it", "be partially": "part of it"}
_REPLACING = re.compile(r"Replacing (\d{1,9})(?: out of (\d{1,9}))? node\(s\) with delegate \(([^)\n]{1,80})\)")
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: (.*)")

# The first timed inference is within this of the average, or the device was still changing speed.
_SETTLED_WITHIN = 0.05


class BenchmarkModel(Backend):
    """Options: `binary` (the user's copy of the tool on the host, which is pushed), `delegate` (default gpu),
    `arguments` (more of the tool's own flags, separated by blanks).
    """

    name = "benchmark_model"
    formats = ("tflite",)
    packages = ()
    pushed = ("binary",)
    shows_outputs = False
    precisions: ClassVar[Precisions] = {
        "fp32": (Way("fp32"),),
        "fp16": (Way("fp16", "cast"),),
        "bf16": "TFLite has no bf16",
        "int8": (Way("int8", "static"),),
    }

    def version(self) -> str:
        return "benchmark_model unknown"  # the tool does not say; the result has its hash

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        check_options(self.name, options, ("binary", "delegate", "arguments"))
        binary = str(options.get("binary", ""))
        if not os.path.isfile(binary):
            raise Unsupported(
                "{} is no program: name your copy of TFLite's tool with binary".format(binary or "nothing")
            )
        if not os.access(binary, os.X_OK):
            os.chmod(binary, os.stat(binary).st_mode | 0o100)  # a push need not keep the mode
        delegate = str(options.get("delegate", "gpu"))
        if delegate not in _DELEGATES:
            raise Unsupported("no delegate {}; there are: {}".format(delegate, ", ".join(_DELEGATES)))
        threads = int(options["threads"])
        command = [binary, "--graph=" + path, "--num_threads={}".format(threads), *_DELEGATES[delegate]]
        if "signature" in options:
            command.append("--signature_to_run_for={}".format(options["signature"]))
        return BenchmarkModelSession(command + str(options.get("arguments", "")).split(), delegate, threads)


class BenchmarkModelSession(ToolSession):
    """One run of the tool."""

    def __init__(self, command: List[str], delegate: str, threads: int) -> None:
        super().__init__(delegate=delegate, threads=threads, precision="unknown")
        self._command = command
        self._delegate = delegate

    def aggregate(self, profile: Dict[str, Any]) -> Optional[Aggregate]:
        counts = [
            "--warmup_runs={}".format(int(profile["warmup_min_iterations"])),
            "--warmup_min_secs={}".format(float(profile["warmup_min_seconds"])),
            "--num_runs={}".format(int(profile["min_iterations"])),
            "--min_secs={}".format(float(profile["min_seconds"])),
            "--max_secs={}".format(float(profile["max_seconds"])),
        ]
        text = output(self._command + counts)
        flag = _DELEGATES[self._delegate][0]
        if any(flag in flags.split() for flags in _UNKNOWN_FLAGS.findall(text)):
            raise Unsupported(
                "this copy of the tool has no delegate {}: it does not know {}".format(self._delegate, flag)
            )
        told = parse(text)
        with open(self._command[0], "rb") as file:
            self._actual["tool_sha256"] = hashlib.sha256(file.read()).hexdigest()
        self._actual.update(placement(text, self._delegate), aggregate=told.details)
        self._actual["aggregates"] = "each restart is the {} that the tool told, of random inputs, unchecked".format(
            "median" if "median" in told.details else "average"
        )
        return told


def placement(text: str, delegate: str) -> Dict[str, Any]:
    """Return how much of the graph the delegate took, as far as the tool says, in words and nodes; what fell back."""
    shares = {name.lower(): _SHARES[share] for name, share in _PLACEMENT.findall(text)}
    share = shares.get(delegate, list(shares.values())[-1] if shares else "unknown")
    # XNNPACK runs on the CPU too; where another delegate was asked for, it takes what that one left.
    rest = "built-in kernels" if delegate == "xnnpack" else "CPU"
    nodes = {}  # type: Dict[str, int]
    total = 0
    for count, of, kernel in _REPLACING.findall(text):
        if delegate == "xnnpack" or "XNNPack" not in kernel:
            nodes[kernel] = nodes.get(kernel, 0) + int(count)
            total = total or int(of or 0)  # later delegates see a graph of which parts are replaced
    if total:
        nodes[rest] = max(total - sum(nodes.values()), 0)
        if share == "unknown":
            share = "part of it" if nodes[rest] else "all of it"
    actual = {"delegate_took": share}  # type: Dict[str, Any]
    if nodes:
        actual["placement"] = nodes
    if delegate != "none":
        actual["asked"] = [kernel for kernel in nodes if kernel != rest] or [delegate]
        left = "{} of {} nodes".format(nodes[rest], total) if nodes.get(rest) else "part of the graph"
        actual["fallback"] = {
            "all of it": "",
            "part of it": "{} ran on {}".format(left, rest),
            "none of it": "the delegate {} took nothing, the whole graph ran on {}".format(delegate, rest),
            "unknown": "the tool does not tell how much of the graph the delegate {} took".format(delegate),
        }[share]
    return actual


def parse(text: str) -> Aggregate:
    """Read the tool's output, in any of its formats. Raises ValueError when its timings are not there or not possible.

    TFLite's oldest ends in `no stats: 66767.6` (or `Inference: …`), later ones in `Inference (avg): 66767.6`; newest
    ones add percentiles to the line of counts and a prefix to every line. These are microseconds. LiteRT's ends in a
    list: `Inference (avg): 66.77 ms (50 runs)` and so on.
    """
    told = _summary(text)
    blocks = [_statistics(count, fields) for count, fields in _count_lines(text)]
    alone = {key: value for key, value in told.items() if key not in ("load", "first", "warmup")}
    timed = blocks[-1] if blocks else alone
    if "avg" not in timed or "load" not in told or not 1 <= timed.get("count", 0) <= _MOST_RUNS:
        raise ValueError("the tool's output has no timings: is it TFLite's benchmark_model?")
    center = timed.get("median", timed["avg"])
    # It rounds, averages to six digits and LiteRT's to 10 us.
    slack = 10 + 0.01 * center
    agrees = abs(timed["avg"] - told.get("avg", timed["avg"])) <= slack
    if not agrees or not timed.get("min", center) - slack <= center <= timed.get("max", center) + slack:
        raise ValueError("the tool's output contradicts itself: {}".format(dict(timed, inference=told.get("avg"))))
    begun = blocks[0] if blocks else alone
    first = told.get("first", begun.get("first", begun.get("avg", center)))
    return Aggregate(
        load_ns=_ns(told["load"]),
        first_ns=_ns(first),
        warmup_ns=_ns(told.get("warmup", first)),
        stable=abs(timed.get("first", center) - center) <= _SETTLED_WITHIN * center,
        sample_ns=_ns(center),
        details={key: int(value) if key == "count" else _ns(value) for key, value in timed.items()},
    )


def _summary(text: str) -> Dict[str, float]:
    """Return what stands at the end of the output, in microseconds."""
    found = _TIMINGS.search(text)
    if found:
        pairs = (part.partition(":") for part in found.group(1).split(","))
        return {_NAMES[key.strip()]: _number(value) for key, _, value in pairs if key.strip() in _NAMES}
    told = {}  # type: Dict[str, float]
    for name, value, runs in _LITERT.findall(text):
        told[_LITERT_NAMES[name]] = _number(value, 1000)
        if name == "Inference (avg)" and runs:
            told["count"] = int(runs)
    return told


def _count_lines(text: str) -> List[Tuple[str, str]]:
    """Return the lines of counts, of the warm-up and of the timed inferences: the count, and the other numbers."""
    lines = [line for line in text.splitlines() if "count=" in line and not _OF_OPERATORS.search(line)]
    return [found.groups() for found in map(_STATISTICS.search, lines) if found]  # type: ignore[misc]


def _statistics(count: str, fields: str) -> Dict[str, float]:
    """Return the numbers of one line of counts; with one inference there is `curr` alone."""
    numbers = {key: _number(value) for key, _, value in (field.partition("=") for field in fields.split())}
    if "curr" in numbers:
        numbers.setdefault("avg", numbers["curr"])
    return {"count": int(count), **numbers}


def _number(text: str, unit_us: int = 1) -> float:
    """Return a duration in microseconds. Raises ValueError for one that cannot be."""
    with contextlib.suppress(ValueError):
        value = float(text) * unit_us
        if 0 <= value <= _MOST_US:  # not for NaN either
            return value
    raise ValueError("the tool's output has a time that cannot be: {}".format(text.strip()[:40]))


def _ns(microseconds: float) -> int:
    return int(microseconds * 1000)
