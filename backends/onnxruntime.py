"""ONNX Runtime."""

import json
import os
import tempfile
from collections import Counter
from typing import Any, Dict, List, Tuple

from backends.base import Backend, Session, Unsupported, check_options, fell_back
from backends.messages import is_lacking

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
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = int(options["threads"])
        settings.inter_op_num_threads = 1
        spinning = options.get("spinning", "on")
        settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning == "on" else "0")
        accelerators = [name for name in asked if name != _CPU]
        if accelerators:
            # Releases that do not know this setting ignore it.
            settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            session = ort.InferenceSession(path, settings, providers=asked)
        except Exception as exc:
            if is_lacking(str(exc)):
                raise Unsupported(str(exc)) from exc
            raise
        return OnnxRuntimeSession(session, settings, str(spinning), accelerators, path)


class OnnxRuntimeSession(Session):
    """Inputs are bound once as OrtValues, so that a timed run neither copies nor converts them."""

    def __init__(self, session: Any, settings: Any, spinning: str, accelerators: List[str], path: str) -> None:
        self._session = session
        self._settings = settings
        self._spinning = spinning
        self._accelerators = accelerators
        self._path = path
        self._inputs = {}  # type: Dict[str, Any]
        self._binding = session.io_binding()

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

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> List[Any]:
        names = [node.name for node in self._session.get_outputs()]
        # A model may name an output twice; it is bound once.
        arrays = dict(zip(dict.fromkeys(names), self._binding.copy_outputs_to_cpu()))
        return [arrays[name] for name in names]

    def actual(self) -> Dict[str, Any]:
        return {
            "providers": list(self._session.get_providers()),
            "threads": int(self._settings.intra_op_num_threads),
            "spinning": self._spinning,
            "precision": "as in the file",
        }

    def examine(self) -> Dict[str, Any]:
        if not self._accelerators:
            return {}
        if hasattr(self._session, "get_provider_graph_assignment_info"):
            parts = self._session.get_provider_graph_assignment_info()
            placement = dict(Counter(part.ep_name for part in parts for _ in part.get_nodes()))
        else:
            placement = profiled_placement(self._path, self._session.get_providers(), self._inputs)
        # A provider whose libraries or device are not there is left out by ONNX Runtime, with a message on stderr.
        dropped = [name for name in self._accelerators if name not in self._session.get_providers()]
        return {"placement": placement, "fallback": fell_back(self._accelerators, placement, dropped)}


def profiled_placement(path: str, providers: List[str], inputs: Dict[str, Any]) -> Dict[str, int]:
    """Count the nodes that each provider runs from the profile of one inference in a session of its own.

    For older releases, which do not tell. These are nodes as they run: what a provider compiles into one is one.
    """
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.enable_profiling = True
        settings.profile_file_prefix = os.path.join(folder, "profile")
        session = ort.InferenceSession(path, settings, providers=providers)
        session.run(None, inputs)
        with open(session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
    nodes = {
        (event["name"], event["args"]["provider"])
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    }
    return dict(Counter(provider for _, provider in nodes))
