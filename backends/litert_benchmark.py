"""LiteRT's own tool in Python, which comes with newer packages: what its makers measure, beside what bench does."""

import math
from importlib import metadata, util
from typing import Any, Dict, List, Optional

from backends.base import Aggregate, Backend, Session, Unsupported, check_options
from backends.benchmark_model import parse
from backends.program import output, python
from backends.toolsession import ToolSession

_MODULE = "ai_edge_litert.tools.benchmark_litert_model"
_MOST_RUNS = 100000


class LitertBenchmark(Backend):
    """`litert-benchmark`, which runs a compiled model on the CPU, with XNNPACK. No options."""

    name = "litert_benchmark"
    formats = ("tflite",)
    packages = ("ai-edge-litert",)
    shows_outputs = False

    def version(self) -> str:
        try:
            return "ai-edge-litert " + metadata.version("ai-edge-litert")
        except metadata.PackageNotFoundError as exc:
            raise ImportError("no package ai-edge-litert") from exc

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        check_options(self.name, options, ())
        if util.find_spec("ai_edge_litert.tools") is None or util.find_spec(_MODULE) is None:
            raise Unsupported("this ai-edge-litert has no litert-benchmark")
        threads = int(options["threads"])
        command = [*python(_MODULE), "--model=" + path, "--num_threads={}".format(threads)]
        if "signature" in options:
            command.append("--signature={}".format(options["signature"]))
        return LitertBenchmarkSession(command, delegate="xnnpack", threads=threads, precision="unknown")


class LitertBenchmarkSession(ToolSession):
    """One run of the tool, or two: it counts inferences and no time, so a first one tells how many there shall be."""

    def __init__(self, command: List[str], **actual: Any) -> None:
        super().__init__(**actual)
        self._command = command

    def aggregate(self, profile: Dict[str, Any]) -> Optional[Aggregate]:
        least = int(profile["min_iterations"])
        told = self._told(int(profile["warmup_min_iterations"]), least)
        each_ns = max(1, told.sample_ns)
        runs = min(_MOST_RUNS, math.ceil(float(profile["min_seconds"]) * 1e9 / each_ns))
        if runs > least:
            told = self._told(math.ceil(float(profile["warmup_min_seconds"]) * 1e9 / each_ns), runs)
        self._actual["aggregate"] = told.details
        self._actual["aggregates"] = "each restart is the median that the tool told, of random inputs, unchecked"
        return told

    def _told(self, warmup: int, runs: int) -> Aggregate:
        counts = ["--warmup_runs={}".format(min(max(1, warmup), _MOST_RUNS)), "--num_runs={}".format(runs)]
        return parse(output(self._command + counts))
