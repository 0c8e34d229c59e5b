"""OpenVINO's own tool, which comes with its package: what the runtime's makers measure, beside what bench does."""

import re
from importlib import metadata, util
from typing import Any, Dict, List, Optional

from backends.base import Aggregate, Backend, Session, Unsupported, check_options
from backends.program import output, python
from backends.toolsession import ToolSession

_MODULE = "openvino.tools.benchmark.main"
_TYPES = {
    "float32": "f32",
    "float16": "f16",
    "float64": "f64",
    "int8": "i8",
    "uint8": "u8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "bool": "bool",
}
_NS = {"us": 1e3, "ms": 1e6}
_MOST_NS = 86400 * 10**9
_COUNT = re.compile(r"\] Count: {1,30}(\d{1,9}) iterations")
_LATENCY = re.compile(r"\] {1,8}(Median|Average|Min|Max): {1,30}([0-9.]{1,20}) (us|ms)")
_TOOK = re.compile(r"\] (Read model|Compile model|First inference) took ([0-9.]{1,20}) ms")


class BenchmarkApp(Backend):
    """`benchmark_app` with one stream and one request at a time, as the backend `openvino` measures.

    Options: `device` and `inference_precision` as of `openvino`.
    """

    name = "benchmark_app"
    formats = ("onnx", "tflite")
    packages = ("openvino",)
    shows_outputs = False

    def version(self) -> str:
        return "openvino " + _version("openvino")

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        check_options(self.name, options, ("device", "inference_precision"))
        if util.find_spec("openvino.tools") is None or util.find_spec(_MODULE) is None:
            raise Unsupported("this OpenVINO has no benchmark_app")
        if "signature" in options:
            raise Unsupported("benchmark_app reads only the first graph of a TFLite file")
        kinds = {_TYPES.get(spec["dtype"]) for spec in inputs}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            raise Unsupported("benchmark_app feeds inputs of one type of numbers only")
        device, precision = str(options.get("device", "CPU")), str(options.get("inference_precision", "f32"))
        threads = int(options["threads"])
        # Left alone it feeds an image's network with bytes and converts them.
        command = [*python(_MODULE), "-m", path, "-ip", kind, "-d", device, "-infer_precision", precision]
        command += ["-api", "sync", "-hint", "none", "-nstreams", "1"]
        command += ["-nthreads", str(threads)] if device == "CPU" else []
        sizes = ["{}[{}]".format(s["name"], ",".join(map(str, s["shape"]))) for s in inputs if s.get("dims")]
        command += ["-shape", ",".join(sizes)] if sizes else []
        return BenchmarkAppSession(command, devices=device, threads=threads, precision=precision)


def _version(package: str) -> str:
    """Return the version of an installed package. Raises ImportError."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as exc:
        raise ImportError("no package {}".format(package)) from exc


class BenchmarkAppSession(ToolSession):
    """One run of the tool."""

    def __init__(self, command: List[str], **actual: Any) -> None:
        super().__init__(**actual)
        self._command = command

    def aggregate(self, profile: Dict[str, Any]) -> Optional[Aggregate]:
        # It goes on until both are reached, the count and the time.
        seconds = max(1, round(float(profile["min_seconds"])))
        told = parse(output([*self._command, "-t", str(seconds), "-niter", str(int(profile["min_iterations"]))]))
        self._actual["aggregate"] = told.details
        self._actual["aggregates"] = "each restart is the median that the tool told, of random inputs, unchecked"
        return told


def parse(text: str) -> Aggregate:
    """Read what the tool prints. Raises ValueError when its timings are not there or not possible."""
    took = {name: _ns(value, "ms") for name, value in _TOOK.findall(text)}
    told = {name.lower(): _ns(value, unit) for name, value, unit in _LATENCY.findall(text)}
    count = _COUNT.search(text)
    if count is None or "median" not in told or "Compile model" not in took or not int(count.group(1)):
        raise ValueError("the tool's output has no timings: is it OpenVINO's benchmark_app?")
    if not told.get("min", told["median"]) <= told["median"] <= told.get("max", told["median"]):
        raise ValueError("the tool's output contradicts itself: {}".format(told))
    first = took.get("First inference", told["median"])
    return Aggregate(
        load_ns=took["Compile model"] + took.get("Read model", 0),
        first_ns=first,
        warmup_ns=first,  # its only one
        stable=True,  # it does not tell; a median of a second hardly knows how it began
        sample_ns=told["median"],
        details=dict(told, count=int(count.group(1))),
    )


def _ns(value: str, unit: str) -> int:
    """Return a duration in ns. Raises ValueError for one that cannot be."""
    found = int(float(value) * _NS[unit])
    if not 0 <= found <= _MOST_NS:
        raise ValueError("the tool's output has a time that cannot be: {} {}".format(value, unit))
    return found
