"""ONNX Runtime."""

from typing import Any, Dict, List, Tuple

from backends.base import Backend, Session, Unsupported, check_options

# What ONNX Runtime says when a model asks for something it does not have, rather than being broken.
_CANNOT = (
    "NOT_IMPLEMENTED",
    "Could not find an implementation",
    "is not a registered function",
    "Unsupported model IR",
)


class OnnxRuntime(Backend):
    """ONNX Runtime with its own graph optimizations at their default (all).

    Options: `providers` (comma-separated execution providers, default CPUExecutionProvider), `spinning` (`on` as the
    library has it, or `off`: whether idle pool threads burn CPU while they wait for work).
    """

    name = "onnxruntime"
    formats = ("onnx",)
    packages = ("onnxruntime", "onnxruntime-gpu")

    def version(self) -> str:
        import onnxruntime

        return "onnxruntime " + str(onnxruntime.__version__)

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        import onnxruntime as ort

        check_options(self.name, options, ("providers", "spinning"))
        # Recent builds have a telemetry client, whose uploads are no part of an inference.
        getattr(ort, "disable_telemetry_events", lambda: None)()
        asked = str(options.get("providers", "CPUExecutionProvider")).split(",")
        missing = [name for name in asked if name not in ort.get_available_providers()]
        if missing:
            there = ", ".join(ort.get_available_providers())
            raise Unsupported("no {} in this onnxruntime; it has: {}".format(", ".join(missing), there))
        settings = ort.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = int(options["threads"])
        settings.inter_op_num_threads = 1
        spinning = options.get("spinning", "on")
        settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning == "on" else "0")
        try:
            session = ort.InferenceSession(path, settings, providers=asked)
        except Exception as exc:
            if any(mark in str(exc) for mark in _CANNOT):
                raise Unsupported(str(exc)) from exc
            raise
        return OnnxRuntimeSession(session, settings, str(spinning))


class OnnxRuntimeSession(Session):
    """Inputs are bound once as OrtValues, so that a timed run neither copies nor converts them."""

    def __init__(self, session: Any, settings: Any, spinning: str) -> None:
        self._session = session
        self._settings = settings
        self._spinning = spinning
        self._binding = session.io_binding()

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        import onnxruntime as ort

        known = [node.name for node in self._session.get_inputs()]
        given = [name for name, _ in inputs]
        if sorted(known) != sorted(given):
            raise Unsupported("the model's inputs are {}, those of the artifact {}".format(known, given))
        for name, array in inputs:
            self._binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        for node in self._session.get_outputs():
            self._binding.bind_output(node.name)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> List[Any]:
        return list(self._binding.copy_outputs_to_cpu())

    def actual(self) -> Dict[str, Any]:
        return {
            "providers": list(self._session.get_providers()),
            "threads": int(self._settings.intra_op_num_threads),
            "spinning": self._spinning,
            "precision": "as in the file",
        }
