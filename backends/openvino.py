"""OpenVINO."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any, ClassVar, Dict, List, Optional, Tuple

from backends import work
from backends.base import Backend, Precisions, Session, Unsupported, Way, check_options, fell_back, shares
from backends.messages import is_lacking

# The runtime's names of types, without those that index and count; I8 stands for u8, too.
_TYPES = {
    "f64": "fp64",
    "f32": "fp32",
    "f16": "fp16",
    "bf16": "bf16",
    "i8": "int8",
    "u8": "int8",
    "i16": "int16",
}
_NO_WORK = ("Input", "Output", "Const", "Parameter", "Result", "Reorder", "Convert")

# Above this nobody looks which operators take the time: that takes a second load.
_MAX_SECOND_LOAD_S = 10.0
_PROFILED_RUNS = 3

# Devices that are none: they choose among others or share the work out to them.
_VIRTUAL = ("AUTO", "HETERO", "MULTI", "BATCH")


class OpenVino(Backend):
    """OpenVINO, one stream, latency hint.

    Left alone OpenVINO computes in bf16 on CPUs that have it: outputs off by 0.1, and 1.6 times faster. A model that
    is not fp16 is therefore pinned to f32; `inference_precision` asks for another one, and the result says so.

    Options: `device` (default CPU; AUTO, or HETERO:GPU,CPU and the like), `inference_precision` (f32, bf16, f16).
    """

    name = "openvino"
    formats = ("onnx", "tflite")
    packages = ("openvino",)
    precisions: ClassVar[Precisions] = {
        "fp32": (Way("fp32"),),
        "fp16": (Way("fp32", hint=(("inference_precision", "f16"),)),),
        "bf16": (Way("fp32", hint=(("inference_precision", "bf16"),)),),
        # OpenVINO reads no quantized TFLite file, and which of these two is faster depends on the network.
        "int8": (Way("int8", "qdq", ("onnx",)), Way("int8", "nncf", ("onnx",))),
    }

    def version(self) -> str:
        import openvino

        return "openvino " + str(openvino.__version__).split("-")[0]

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        import openvino as ov

        check_options(self.name, options, ("device", "inference_precision"))
        if "signature" in options:
            words = "OpenVINO reads only the first graph of a TFLite file; signature {} has another"
            raise Unsupported(words.format(options["signature"]))
        core = ov.Core()
        device = str(options.get("device", "CPU"))
        named = _named(device, core.available_devices)
        precision = str(options.get("inference_precision", "f32"))
        if device == "CPU":
            _check_computes(core, device, precision)
        config = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": precision}
        on_cpu = {"INFERENCE_NUM_THREADS": str(int(options["threads"]))}
        if device == "CPU":
            config.update(on_cpu)
        start = time.monotonic()
        try:
            if device.partition(":")[0] in _VIRTUAL:
                # A virtual device has no such properties of its own; they are those of the devices behind it.
                for name in named or core.available_devices:
                    core.set_property(name, dict(config, **on_cpu) if name == "CPU" else config)
                config = {"PERFORMANCE_HINT": "LATENCY"}
                if device.startswith("AUTO"):
                    # Else it may begin on the CPU while the device it has chosen still compiles.
                    config["ENABLE_STARTUP_FALLBACK"] = "NO"
            compiled, model, left_open = _compiled(core, path, inputs, device, config)
        except RuntimeError as exc:
            if is_lacking(str(exc)):
                raise Unsupported(str(exc)) from exc
            raise
        is_lower = options.get("precision", "fp32") != "fp32" or precision != "f32"
        is_quick = time.monotonic() - start <= _MAX_SECOND_LOAD_S
        counting = dict(config, PERF_COUNT="YES") if device == "CPU" and is_lower and is_quick else None
        return OpenVinoSession(compiled, core, model, device, named, left_open, counting)


def _check_computes(core: Any, device: str, precision: str) -> None:
    """Raise Unsupported for a precision in which the device would only emulate to compute, or not compute at all."""
    wanted = {"f16": "FP16", "bf16": "BF16"}.get(precision)
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if wanted is not None and wanted not in able:
        has = ", ".join(name for name in able if name in ("FP32", "FP16", "BF16", "INT8"))
        raise Unsupported("this CPU does not compute in {}: OpenVINO has {} here".format(wanted.lower(), has))


def _compiled(
    core: Any, path: str, inputs: List[Dict[str, Any]], device: str, config: Dict[str, str]
) -> Tuple[Any, Any, bool]:
    """Return the compiled model, what it was made of, and whether its sizes were left open."""
    model = _read_model(core, path, inputs)
    if not model.is_dynamic():
        return core.compile_model(model, device, config), model, False
    try:
        model.reshape({position: spec["shape"] for position, spec in enumerate(inputs)})
        return core.compile_model(model, device, config), model, False
    except RuntimeError as exc:
        if is_lacking(str(exc)):
            raise
        # Some files run while their sizes are open and do not load with them: a branch that these do not fit.
        model = core.read_model(path)
        return core.compile_model(model, device, config), model, True


def _read_model(core: Any, path: str, inputs: List[Dict[str, Any]]) -> Any:
    """Return the model, with the sizes of `inputs` only where it cannot be read without. Raises RuntimeError."""
    try:
        return core.read_model(path)
    except RuntimeError:
        # An operator may need the rank of what it gets, and that hang on sizes.
        if not path.endswith(".onnx") or all(spec.get("dims") is None for spec in inputs):
            raise
        with suppress(Exception):  # the front end has classes of its own
            return _converted(path, inputs)
        raise


def _converted(path: str, inputs: List[Dict[str, Any]]) -> Any:
    """Return the model of an ONNX file whose inputs had the sizes of `inputs` from the start."""
    import openvino as ov
    from openvino.frontend import FrontEndManager

    front = FrontEndManager().load_by_framework("onnx")
    file = front.load(path)
    shapes = {spec["name"]: spec["shape"] for spec in inputs}
    for place in file.get_inputs():
        for name in place.get_names():
            if name in shapes:
                file.set_partial_shape(place, ov.PartialShape(list(shapes[name])))
    return front.convert(file)


def _named(device: str, available: List[str]) -> List[str]:
    """Return the devices that `device` names, the first choice first. Raises Unsupported for one that is not there."""
    kind, colon, rest = device.partition(":")
    names = [name.strip() for name in rest.split(",")] if colon and kind in _VIRTUAL else [device]
    # AUTO alone chooses among all, AUTO:-GPU leaves one out; BATCH:GPU(4) has a size.
    wanted = [name.partition("(")[0] for name in names if name != "AUTO" and not name.startswith("-")]
    for name in wanted:
        if name.split(".")[0] not in {there.split(".")[0] for there in available}:
            raise Unsupported("no device {} in OpenVINO here; it has: {}".format(name or device, ", ".join(available)))
    return wanted


class OpenVinoSession(Session):
    """One infer request whose input tensors share the memory of the bound arrays.

    `counting` is the configuration in which the runtime counts time, None where nobody looks.
    """

    def __init__(
        self,
        compiled: Any,
        core: Any,
        model: Any,
        device: str,
        named: List[str],
        left_open: bool = False,
        counting: Optional[Dict[str, str]] = None,
    ) -> None:
        self._compiled = compiled
        self._core = core
        self._model = model
        self._device = device
        self._named = named
        self._accelerators = [name for name in named if name != "CPU"]
        self._left_open = left_open
        self._counting = counting
        self._request = compiled.create_infer_request()
        self._ports = list(compiled.outputs)
        self._arrays = []  # type: List[Any]

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        import openvino as ov

        ports = self._compiled.inputs
        if len(ports) < len(inputs) and len({name for name, _ in inputs}) < len(inputs):
            raise Unsupported("OpenVINO tells tensors apart by name, and inputs of this file have equal names or none")
        if len(ports) != len(inputs):
            raise Unsupported("the model has {} inputs, the artifact {}".format(len(ports), len(inputs)))
        # A TFLite file's inputs can lose their names on the way in; their order they keep.
        for port, (_, array) in zip(ports, inputs):
            self._request.set_tensor(port, ov.Tensor(array, shared_memory=True))
            self._arrays.append(array)

    def feed(self, inputs: List[Tuple[str, Any]]) -> None:
        """The tensors share the memory of the arrays."""

    def run(self) -> None:
        self._request.infer(share_outputs=True)

    def outputs(self) -> List[Any]:
        return [self._request.get_tensor(port).data.copy() for port in self._ports]

    def actual(self) -> Dict[str, Any]:
        precision = self._read("INFERENCE_PRECISION_HINT")
        return {
            "devices": self._read("EXECUTION_DEVICES"),
            "threads": self._read("INFERENCE_NUM_THREADS"),
            "streams": self._read("NUM_STREAMS"),
            "precision": {"<Type: 'float32'>": "f32", "<Type: 'bfloat16'>": "bf16", "<Type: 'float16'>": "f16"}.get(
                precision, precision
            ),
            **({"sizes": "left open"} if self._left_open else {}),
            **({"asked": self._accelerators} if self._accelerators else {}),
        }

    def examine(self) -> Dict[str, Any]:
        found = {"compute": computed(self._compiled), "time": self._time()}
        return {**{key: counts for key, counts in found.items() if counts}, **self._placement()}

    def _time(self) -> Dict[str, float]:
        """Return which operators take the time, as the runtime counts it in a model of its own."""
        if self._counting is None:
            return {}
        with suppress(RuntimeError):
            compiled = self._core.compile_model(self._model, self._device, self._counting)
            return shares(timed(compiled, self._arrays))
        return {}

    def _placement(self) -> Dict[str, Any]:
        if self._device.startswith("HETERO"):
            return shared_out(self._model, self._core.query_model(self._model, self._device), self._accelerators)
        is_virtual = self._device.partition(":")[0] in _VIRTUAL
        if not is_virtual and not self._accelerators:
            return {}
        # The whole model runs on one device (AUTO chooses) or on each of several (MULTI).
        ran, first = self._read("EXECUTION_DEVICES"), self._named[0] if self._named else ""
        where = [name.strip("()") for name in ran.split(",")]
        is_first = not is_virtual or any(name == first or name.startswith(first + ".") for name in where)
        fallback = "" if is_first or not first else "the model ran on {}, not on {}".format(ran, first)
        nodes = len(_operators(self._model))
        return {
            "devices": ran,
            "placement": {first if is_first and first else ran: nodes},
            "fallback": fallback,
        }

    def _read(self, key: str) -> str:
        """Return a property of the compiled model, of a virtual device that of the devices behind it."""
        try:
            values = [self._compiled.get_property(key)]
        except RuntimeError:
            try:
                behind = self._compiled.get_property("DEVICE_PROPERTIES")
                values = [own[key] for own in behind.values() if key in own]
            except (RuntimeError, AttributeError):
                values = []
        # A plugin need not have the property: GPU has no number of threads.
        texts = [",".join(value) if isinstance(value, list) else str(value) for value in values]
        return ",".join(dict.fromkeys(texts)) or "unknown"


def _operators(model: Any) -> List[Any]:
    return [one for one in model.get_ops() if one.get_type_name() not in ("Parameter", "Constant", "Result")]


def shared_out(model: Any, affinity: Dict[str, str], accelerators: List[str]) -> Dict[str, Any]:
    """Return what `actual` says of a model whose operators lie where `affinity` has them by their names."""
    placed = [(affinity.get(one.get_friendly_name(), "unknown"), one) for one in _operators(model)]
    placement = Counter(where for where, _ in placed)
    left = Counter(one.get_type_name() for where, one in placed if accelerators and where not in accelerators)
    found = work.total((where, _multiply_adds(one)) for where, one in placed) if len(placement) > 1 else None
    return {
        "placement": dict(placement),
        **({} if found is None else {"multiply_adds": found}),
        "left": dict(left),
        "fallback": fell_back(accelerators, placement),
    }


def _multiply_adds(operator: Any) -> Optional[int]:
    kind = operator.get_type_name()
    try:
        given, made = [[list(one.get_shape()) for one in ports] for ports in (operator.inputs(), operator.outputs())]
    except RuntimeError:  # a size is open
        given, made = [], []
    is_turned = kind == "MatMul" and bool(operator.get_attributes().get("transpose_a"))
    return work.in_openvino(kind, given, made[0] if made else [], is_turned)


def timed(compiled: Any, arrays: List[Any]) -> List[Tuple[str, float]]:
    """Return the kind and the time in us of every operator that runs: of some inferences the least, see `shares`."""
    import openvino as ov

    request = compiled.create_infer_request()
    for port, array in zip(compiled.inputs, arrays):
        request.set_tensor(port, ov.Tensor(array, shared_memory=True))
    found = {}  # type: Dict[str, Tuple[str, float]]
    for _ in range(_PROFILED_RUNS):
        request.infer(share_outputs=True)
        for node in request.get_profiling_info():
            taken = node.real_time.total_seconds() * 1e6
            found[node.node_name] = (node.node_type, min(taken, found.get(node.node_name, ("", taken))[1]))
    return list(found.values())


def computed(compiled: Any) -> Dict[str, int]:
    """Count the operators of the compiled model by the type they compute in, as far as their device tells.

    The kernel's name ends in it. `runtimePrecision` is second: beside weights of another type it is theirs.
    """
    found, fused = Counter(), Counter()  # type: Counter[str], Counter[str]
    try:
        operators = compiled.get_runtime_model().get_ops()
    except RuntimeError:
        return {}
    for operator in operators:
        facts = operator.get_rt_info()
        layer, kernel, kind = [
            str(facts[key].value) if key in facts else "" for key in ("layerType", "primitiveType", "runtimePrecision")
        ]
        ends = kernel.rpartition("_")[2].lower()
        name = _TYPES.get(ends) or _TYPES.get(kind)
        # Where no kernel is known, an operator moves data, or holds graphs of its own that nothing is told of.
        if name and layer not in _NO_WORK and not kernel.startswith("unknown"):
            # What is fused element by element also holds conversions; it counts where there is nothing else.
            (fused if layer == "Subgraph" else found)[name] += 1
    return dict(found or fused)
