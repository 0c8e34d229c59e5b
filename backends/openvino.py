"""OpenVINO."""

from typing import Any, Dict, List, Tuple

from backends.base import Backend, Session, Unsupported, check_options

# What OpenVINO says when its front end or plugin does not know an operator.
_CANNOT = (
    "not supported",
    "Unsupported",
    "OpConversionFailure",
    "unsupported",
    "No conversion rule",
    "NOT_IMPLEMENTED",
)


class OpenVino(Backend):
    """OpenVINO, one stream, latency hint.

    Left alone OpenVINO computes in bf16 on CPUs that have it: outputs off by 0.1, and 1.6 times faster. A model that
    is not fp16 is therefore pinned to f32; `inference_precision` asks for another one, and the result says so.

    Options: `device` (default CPU), `inference_precision` (f32, bf16, f16).
    """

    name = "openvino"
    formats = ("onnx", "tflite")
    packages = ("openvino",)

    def version(self) -> str:
        import openvino

        return "openvino " + str(openvino.__version__).split("-")[0]

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        import openvino as ov

        check_options(self.name, options, ("device", "inference_precision"))
        core = ov.Core()
        device = str(options.get("device", "CPU"))
        if device.split(".")[0] not in {name.split(".")[0] for name in core.available_devices}:
            raise Unsupported("no device {} in OpenVINO here; it has: {}".format(device, core.available_devices))
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": str(options.get("inference_precision", "f32")),
        }
        if device == "CPU":
            config["INFERENCE_NUM_THREADS"] = str(int(options["threads"]))
        try:
            model = core.read_model(path)
            if model.is_dynamic():
                model.reshape({position: spec["shape"] for position, spec in enumerate(inputs)})
            compiled = core.compile_model(model, device, config)
        except RuntimeError as exc:
            if any(mark in str(exc) for mark in _CANNOT):
                raise Unsupported(str(exc)) from exc
            raise
        return OpenVinoSession(compiled)


class OpenVinoSession(Session):
    """One infer request whose input tensors share the memory of the bound arrays."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._arrays = []  # type: List[Any]

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        import openvino as ov

        ports = self._compiled.inputs
        if len(ports) != len(inputs):
            raise Unsupported("the model has {} inputs, the artifact {}".format(len(ports), len(inputs)))
        by_name = {name: port for port in ports for name in port.get_names()}
        for position, (name, array) in enumerate(inputs):
            # A TFLite file's inputs can lose their names on the way in; their order they keep.
            self._request.set_tensor(by_name.get(name, ports[position]), ov.Tensor(array, shared_memory=True))
            self._arrays.append(array)

    def run(self) -> None:
        self._request.infer(share_outputs=True)

    def outputs(self) -> List[Any]:
        return [self._request.get_tensor(port).data.copy() for port in self._compiled.outputs]

    def actual(self) -> Dict[str, Any]:
        def read(key: str) -> str:
            try:
                value = self._compiled.get_property(key)
            except RuntimeError:  # a plugin need not have the property (GPU has no number of threads)
                return "unknown"
            return ",".join(value) if isinstance(value, list) else str(value)

        precision = read("INFERENCE_PRECISION_HINT")
        return {
            "devices": read("EXECUTION_DEVICES"),
            "threads": read("INFERENCE_NUM_THREADS"),
            "streams": read("NUM_STREAMS"),
            "precision": {"<Type: 'float32'>": "f32", "<Type: 'bfloat16'>": "bf16", "<Type: 'float16'>": "f16"}.get(
                precision, precision
            ),
        }
