"""ONNX Runtime."""

import os
import time
from collections import Counter
from contextlib import suppress
from typing import Any, ClassVar, Dict, List, Sequence, Tuple

from backends.base import Backend, Precisions, Session, Unsupported, Way, check_options, fell_back, shares
from backends.messages import is_lacking
from backends.onnxruntime_profile import computed, placed, profiled, worked

# Above this nobody looks what a model computes in: that takes a second session with it.
_MAX_SECOND_LOAD_BYTES = 1 << 30
_MAX_SECOND_LOAD_S = 10.0

# What an accelerator was meant for may take the CPU minutes.
_MAX_ON_CPU_S = 30.0

# What runs what no other provider takes; no accelerator.
_CPU = "CPUExecutionProvider"


class OnnxRuntime(Backend):
    """ONNX Runtime with its own graph optimizations at their default (all).

    Options: `providers` (comma-separated execution providers, the first choice first, default CPUExecutionProvider,
    which also runs what they leave), `spinning` (`on` as the library has it, or `off`: whether idle pool threads burn
    CPU while they wait for work).
    """

    name = "onnxruntime"
    formats = ("onnx",)
    packages = ("onnxruntime", "onnxruntime-gpu")
    precisions: ClassVar[Precisions] = {
        "fp32": (Way("fp32"),),
        "fp16": (Way("fp16", "cast"),),
        "bf16": "ONNX Runtime's CPU provider has no kernels for bf16",
        "int8": (Way("int8", "qdq"),),
    }

    def version(self) -> str:
        import onnxruntime

        return "onnxruntime " + str(onnxruntime.__version__)

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        import onnxruntime as ort

        check_options(self.name, options, ("providers", "spinning"), switches=("spinning",))
        # Recent builds have a telemetry client, whose uploads are no part of an inference.
        getattr(ort, "disable_telemetry_events", lambda: None)()
        asked = [name.strip() for name in str(options.get("providers", _CPU)).split(",")]
        missing = [name for name in asked if name not in ort.get_available_providers()]
        if missing:
            there = ", ".join(ort.get_available_providers())
            names = ", ".join(name or "provider without a name" for name in missing)
            raise Unsupported("no {} in this onnxruntime; it has: {}".format(names, there))
        start = time.monotonic()
        sizes = symbol_sizes(inputs)
        try:
            try:
                session = ort.InferenceSession(path, _settings(options, asked, sizes), providers=asked)
            except Exception:
                if not sizes:
                    raise
                # Some files run while their sizes are open and do not load with them: a branch that these do not fit.
                sizes = {}
                session = ort.InferenceSession(path, _settings(options, asked, sizes), providers=asked)
        except Exception as exc:
            if is_lacking(str(exc)):
                raise Unsupported(str(exc)) from exc
            raise
        told = sizes or ("left open" if any(spec.get("dims") for spec in inputs) else {})
        return OnnxRuntimeSession(session, path, options, asked, told, time.monotonic() - start)


def symbol_sizes(inputs: List[Dict[str, Any]]) -> Dict[str, int]:
    """Return the size of every symbol in the dimensions of the inputs that has one size, and not several."""
    found = {}  # type: Dict[str, List[int]]
    for spec in inputs:
        for dim, size in zip(spec.get("dims") or (), spec["shape"]):
            if isinstance(dim, str):
                found.setdefault(dim, []).append(int(size))
    return {symbol: min(sizes) for symbol, sizes in found.items() if min(sizes) == max(sizes) > 0}


def _settings(options: Dict[str, Any], asked: List[str], sizes: Dict[str, int]) -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = int(options["threads"])
    settings.inter_op_num_threads = 1
    spins = options.get("spinning", "on") == "on"
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins else "0")
    for symbol, size in sizes.items():
        settings.add_free_dimension_override_by_name(symbol, size)
    if asked != [_CPU]:
        # Releases that do not know this setting ignore it.
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return settings


class OnnxRuntimeSession(Session):
    """Inputs are bound once as OrtValues, so that a timed run neither copies nor converts them.

    `sizes` are those of symbols that were set, or words where none was.
    """

    def __init__(
        self,
        session: Any,
        path: str,
        options: Dict[str, Any],
        asked: List[str],
        sizes: Any,
        load_s: float,
    ) -> None:
        self._session = session
        self._path = path
        self._options = options
        self._asked = asked
        self._accelerators = [name for name in asked if name != _CPU]
        self._sizes = sizes
        self._load_s = load_s
        self._inputs = {}  # type: Dict[str, Any]
        self._shown = [node.name for node in session.get_outputs()]
        self._binding = session.io_binding()
        # Outputs that are not of the size that the file declares: what ONNX Runtime has kept of them it refuses.
        self._misdeclared = []  # type: List[str]
        self._is_plain = False  # known after the first run

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        import onnxruntime as ort

        known = [node.name for node in self._session.get_inputs()]
        given = [name for name, _ in inputs]
        if sorted(known) != sorted(given):
            raise Unsupported("the model's inputs are {}, those of the artifact {}".format(known, given))
        self._inputs = dict(inputs)
        for name, array in inputs:
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for node in self._session.get_outputs():
            self._binding.bind_output(node.name)

    def feed(self, inputs: List[Tuple[str, Any]]) -> None:
        """An OrtValue in the CPU's memory is the array itself."""

    def run(self) -> None:
        if self._is_plain:  # nothing but this belongs into what is timed
            self._session.run_with_iobinding(self._binding)
        else:
            self._run_misdeclared()

    def _run_misdeclared(self) -> None:
        for name in self._misdeclared:
            self._binding.bind_output(name)
        self._session.run_with_iobinding(self._binding)
        if not self._misdeclared:  # the first time
            self._misdeclared = self._find_misdeclared()
            self._is_plain = not self._misdeclared

    def _find_misdeclared(self) -> List[str]:
        nodes = self._session.get_outputs()
        if all(not isinstance(size, int) for node in nodes for size in node.shape or ()):
            return []
        found = dict(zip(dict.fromkeys(node.name for node in nodes), self._binding.get_outputs()))
        return [
            node.name for node in nodes if node.type.startswith("tensor(") and _differs(node.shape, found[node.name])
        ]

    def outputs(self) -> List[Any]:
        # A model may name an output twice; it is bound once.
        arrays = dict(zip(dict.fromkeys(self._shown), self._binding.copy_outputs_to_cpu()))
        return [arrays[name] for name in self._shown]

    def actual(self) -> Dict[str, Any]:
        return {
            "providers": list(self._session.get_providers()),
            "threads": int(self._options["threads"]),
            "spinning": str(self._options.get("spinning", "on")),
            "precision": "as in the file",
            **({"sizes": self._sizes} if self._sizes else {}),
            **({"asked": self._accelerators} if self._accelerators else {}),
        }

    def examine(self) -> Dict[str, Any]:
        accelerators = self._accelerators
        told = hasattr(self._session, "get_provider_graph_assignment_info")
        events = []  # type: List[Dict[str, Any]]
        if (accelerators and not told) or self._may_profile():
            sizes = self._sizes if isinstance(self._sizes, dict) else {}
            settings = _settings(self._options, self._asked, sizes)
            events = profiled(self._path, self._session.get_providers(), self._inputs, settings)
        found = {}  # type: Dict[str, Any]
        if events:
            times = [(str(event.get("op_name", "")), float(event["us"])) for event in events]
            found = {"compute": computed(events), "time": shares(times)}
        if not accelerators:
            return found
        if told:
            parts = self._session.get_provider_graph_assignment_info()
            nodes = [(str(part.ep_name), node) for part in parts for node in part.get_nodes()]
            placement = dict(Counter(name for name, _ in nodes))
            found["left"] = dict(Counter(node.op_type for name, node in nodes if name not in accelerators))
            found.update(self._work(nodes))
        else:
            placement = placed(events)
        # A provider whose libraries or device are not there is left out by ONNX Runtime, with a message on stderr.
        dropped = [name for name in accelerators if name not in self._session.get_providers()]
        words = fell_back(accelerators, placement, dropped)
        return {**found, "placement": placement, "fallback": words}

    def _work(self, nodes: Sequence[Tuple[str, Any]]) -> Dict[str, Any]:
        """Return the multiply-adds of (provider, node) by provider, where that has to be found out and can be."""
        if len({name for name, _ in nodes}) < 2 or not self._may_load_again():
            return {}
        settings = _settings(self._options, [_CPU], self._sizes if isinstance(self._sizes, dict) else {})
        # With more than these optimizations nodes have other names than when they are given to providers.
        settings.graph_optimization_level = settings.graph_optimization_level.__class__.ORT_ENABLE_BASIC
        settings.add_session_config_entry("session.disable_prepacking", "1")  # nobody tells the shape of what is packed
        found = None
        with suppress(Exception):  # it need not run on the CPU, or not soon, and then nothing is known
            found = worked(nodes, profiled(self._path, [_CPU], self._inputs, settings, 1, _MAX_ON_CPU_S))
        return {} if found is None else {"multiply_adds": found}

    def _may_profile(self) -> bool:
        """Tell whether a second load is worth it: a plain fp32 file has nothing to tell."""
        return self._options.get("precision", "fp32") != "fp32" and self._may_load_again()

    def _may_load_again(self) -> bool:
        if self._load_s > _MAX_SECOND_LOAD_S:
            return False
        folder = os.path.dirname(self._path)
        size = sum(os.path.getsize(os.path.join(there, name)) for there, _, names in os.walk(folder) for name in names)
        return size <= _MAX_SECOND_LOAD_BYTES


def _differs(declared: Any, value: Any) -> bool:
    shape = value.shape()
    return len(declared or ()) != len(shape) or any(
        isinstance(size, int) and size != found for size, found in zip(declared, shape)
    )
