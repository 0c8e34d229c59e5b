"""TFLite: LiteRT, and its predecessor tflite-runtime where a device has only that."""

from typing import Any, Dict, List, Tuple

from backends.base import Backend, Session, Unsupported, check_options

_CANNOT = ("Op builtin_code out of range", "unresolved custom op", "Select TensorFlow op", "Didn't find op for builtin")


def _interpreter() -> Any:
    """Return the module with `Interpreter`, LiteRT's first. Raises ImportError when neither is there."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        from tflite_runtime import interpreter
    return interpreter


class TFLite(Backend):
    """TFLite's interpreter with its default delegate, XNNPACK.

    Option: `xnnpack` (`on`, or `off` for the built-in kernels).
    """

    name = "tflite"
    formats = ("tflite",)
    packages = ("ai-edge-litert", "tflite-runtime")

    def version(self) -> str:
        _interpreter()  # the same choice as `load` makes, so that the version is that of what runs
        try:
            from ai_edge_litert import __version__

            return "ai-edge-litert " + str(__version__)
        except ImportError:
            from tflite_runtime import __version__ as old_version

            return "tflite-runtime " + str(old_version)

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        module = _interpreter()
        check_options(self.name, options, ("xnnpack",))
        resolver = module.OpResolverType.AUTO
        if options.get("xnnpack", "on") == "off":
            resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        threads = int(options["threads"])
        try:
            runner = module.Interpreter(model_path=path, num_threads=threads, experimental_op_resolver_type=resolver)
            for detail, spec in zip(runner.get_input_details(), inputs):
                if list(detail["shape"]) != list(spec["shape"]):
                    runner.resize_tensor_input(detail["index"], spec["shape"])
            runner.allocate_tensors()
        except (RuntimeError, ValueError) as exc:
            if any(mark in str(exc) for mark in _CANNOT):
                raise Unsupported(str(exc)) from exc
            raise
        return TFLiteSession(runner, threads)


class TFLiteSession(Session):
    """The interpreter keeps its input tensors between invocations, so they are set once."""

    def __init__(self, runner: Any, threads: int) -> None:
        self._runner = runner
        self._threads = threads

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        details = self._runner.get_input_details()
        if len(details) != len(inputs):
            raise Unsupported("the model has {} inputs, the artifact {}".format(len(details), len(inputs)))
        by_name = {detail["name"]: detail for detail in details}
        for position, (name, array) in enumerate(inputs):
            self._runner.set_tensor(by_name.get(name, details[position])["index"], array)

    def run(self) -> None:
        self._runner.invoke()

    def outputs(self) -> List[Any]:
        return [self._runner.get_tensor(detail["index"]) for detail in self._runner.get_output_details()]

    def actual(self) -> Dict[str, Any]:
        return {"threads": self._threads, "precision": "as in the file", **self._placement()}

    def _placement(self) -> Dict[str, Any]:
        """Count the operators left to built-in kernels; the list of operators is a private call, so it may be gone."""
        try:
            names = [op["op_name"] for op in self._runner._get_ops_details()]
        except AttributeError:
            return {"delegate": "unknown"}
        partitions = names.count("DELEGATE")
        return {"delegate": "XNNPACK" if partitions else "none", "delegate_partitions": partitions}
