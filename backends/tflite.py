"""TFLite: LiteRT, and its predecessor tflite-runtime where a device has only that."""

import ctypes
import os
from collections import Counter
from typing import Any, ClassVar, Dict, List, Optional, Set, Tuple

from backends import work
from backends.base import Backend, Precisions, Session, Unsupported, Way, check_options, fell_back
from backends.messages import is_lacking, plain
from backends.tflite_graph import Graph, SignatureGraph, graph_of

# The node in which TFLite tells what XNNPACK took, when that cannot be prepared.
_BY_XNNPACK = "(TfLiteXNNPackDelegate)"

_TYPES = {
    "float64": "fp64",
    "float32": "fp32",
    "float16": "fp16",
    "int8": "int8",
    "uint8": "int8",
    "int16": "int16",
}
_HYBRID = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL")


def _interpreter() -> Any:
    """Return the module with `Interpreter`, LiteRT's first. Raises ImportError when neither is there."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        from tflite_runtime import interpreter
    return interpreter


class TFLite(Backend):
    """TFLite's interpreter with its default delegate, XNNPACK.

    Options: `xnnpack` (`on`, or `off` for the built-in kernels), `delegate` (the library of an external delegate on the
    device; it chooses before XNNPACK does), `delegate_options` (what that library is given, `KEY:VALUE;KEY:VALUE`).
    """

    name = "tflite"
    formats = ("tflite",)
    packages = ("ai-edge-litert", "tflite-runtime")
    precisions: ClassVar[Precisions] = {
        "fp32": (Way("fp32"),),
        "fp16": (Way("fp16", "cast"),),
        "bf16": "TFLite's CPU kernels do not compute in bf16",
        "int8": (Way("int8", "static"),),
    }

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
        check_options(self.name, options, ("xnnpack", "delegate", "delegate_options"), switches=("xnnpack",))
        resolver = module.OpResolverType.AUTO
        if options.get("xnnpack", "on") == "off":
            resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        asked = ["XNNPACK"] if options.get("xnnpack") == "on" else []
        more = {}  # type: Dict[str, Any]
        if "delegate" in options:
            library = str(options["delegate"])
            asked = [os.path.basename(library)]
            given = _delegate_options(str(options.get("delegate_options", "")))
            more["experimental_delegates"] = [_load_delegate(module, library, given)]
        threads = int(options["threads"])
        try:
            runner = module.Interpreter(
                model_path=path, num_threads=threads, experimental_op_resolver_type=resolver, **more
            )
            graph = graph_of(runner, str(options.get("signature", "")))
            for detail, spec in zip(graph.ordered([spec["name"] for spec in inputs]), inputs):
                if list(detail["shape"]) != list(spec["shape"]):
                    graph.resize(detail["index"], spec["shape"])
            # XNNPACK takes its share in the next call only.
            taken = _delegated(runner) if more else set()
            graph.allocate()
        except (RuntimeError, ValueError) as exc:
            if _BY_XNNPACK in str(exc) and self._loads_without_xnnpack(path, inputs, options):
                words = "XNNPACK takes this model and cannot prepare it ({}); tflite.xnnpack=off runs it"
                raise Unsupported(words.format(plain(str(exc)))) from exc
            if is_lacking(str(exc)):
                raise Unsupported(str(exc)) from exc
            raise
        return TFLiteSession(runner, graph, threads, asked, taken)

    def _loads_without_xnnpack(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> bool:
        try:
            self.load(path, inputs, dict(options, xnnpack="off"))
        except Exception:  # noqa: BLE001 - then it is no advice, whatever is wrong
            return False
        return True


def _delegate_options(text: str) -> Dict[str, str]:
    """Read `KEY:VALUE;KEY:VALUE`. Raises Unsupported."""
    pairs = [part.partition(":") for part in text.split(";") if part.strip()]
    for key, colon, _ in pairs:
        if not (key.strip() and colon):
            raise Unsupported("delegate_options {!r} are not KEY:VALUE;KEY:VALUE".format(text))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _load_delegate(module: Any, library: str, given: Dict[str, str]) -> Any:
    """Load an external delegate. Raises Unsupported."""
    there = "without the option delegate there are XNNPACK (xnnpack=on) and the built-in kernels (xnnpack=off)"
    try:
        loaded = ctypes.CDLL(library)
        for symbol in ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"):
            getattr(loaded, symbol)
        return module.load_delegate(library, given)
    except (OSError, AttributeError, ValueError) as exc:
        raise Unsupported("the delegate {} cannot be loaded ({}); {}".format(library, exc, there)) from exc


def _delegated(runner: Any) -> Optional[Set[int]]:
    """Return the indices of the operators that a delegate runs; None where the runtime does not tell.

    The list of operators keeps those that were replaced and gains one DELEGATE for each part of the graph. The
    operators of a part are those that lie between its outputs and its inputs.
    """
    try:
        operators = runner._get_ops_details()
    except AttributeError:  # a private call
        return None
    parts = [operator for operator in operators if operator["op_name"] == "DELEGATE"]
    producers = {
        tensor: operator
        for operator in operators
        if operator["op_name"] != "DELEGATE"
        for tensor in operator["outputs"]
    }
    found = set()  # type: Set[int]
    for part in parts:
        bounds = set(part["inputs"])
        todo = [tensor for tensor in part["outputs"] if tensor not in bounds]
        while todo:
            operator = producers.get(todo.pop())
            if operator is not None and operator["index"] not in found:
                found.add(operator["index"])
                todo += [tensor for tensor in operator["inputs"] if tensor not in bounds]
    # What reads a tensor that never leaves a part belongs to it, even without an output (an assignment to a variable).
    leaving = {tensor for part in parts for tensor in part["outputs"]}
    inside = {
        tensor for operator in operators if operator["index"] in found for tensor in operator["outputs"]
    } - leaving
    found |= {
        operator["index"]
        for operator in operators
        if operator["op_name"] != "DELEGATE" and inside.intersection(operator["inputs"])
    }
    return found


class TFLiteSession(Session):
    """The interpreter keeps its input tensors between invocations, so they are set once."""

    def __init__(self, runner: Any, graph: Graph, threads: int, asked: List[str], taken: Optional[Set[int]]) -> None:
        self._runner = runner
        self._graph = graph
        self._threads = threads
        self._asked = asked
        self._taken = taken
        self._bound = []  # type: List[int]
        self._shown = [detail["index"] for detail in graph.outputs()]

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        self._bound = [detail["index"] for detail in self._graph.ordered([name for name, _ in inputs])]
        self.feed(inputs)

    def feed(self, inputs: List[Tuple[str, Any]]) -> None:
        for index, (_, array) in zip(self._bound, inputs):
            self._graph.set(index, array)

    def run(self) -> None:
        self._graph.run()

    def outputs(self) -> List[Any]:
        return [self._graph.get(index) for index in self._shown]

    def actual(self) -> Dict[str, Any]:
        return {"threads": self._threads, "precision": "as in the file", **self._placement()}

    def examine(self) -> Dict[str, Any]:
        found = {} if isinstance(self._graph, SignatureGraph) else computed(self._runner)
        return {**({"compute": found} if found else {}), **self._work()}

    def _placed(self) -> Optional[List[Tuple[str, Dict[str, Any]]]]:
        """Return (where, operator) of all operators; None where the runtime does not tell, as of later graphs."""
        delegated = None if isinstance(self._graph, SignatureGraph) else _delegated(self._runner)
        taken = self._taken
        if delegated is None or taken is None:
            return None
        own = next((name for name in self._asked if name != "XNNPACK"), "XNNPACK")

        def where(index: int) -> str:
            return own if index in taken else "XNNPACK" if index in delegated else "built-in kernels"

        operators = self._runner._get_ops_details()
        return [(where(one["index"]), one) for one in operators if one["op_name"] != "DELEGATE"]

    def _work(self) -> Dict[str, Any]:
        """Return the multiply-adds by place, where a graph of which a delegate was to take all lies in several."""
        placed = self._placed() if self._asked else None
        if placed is None or len({where for where, _ in placed}) < 2:
            return {}
        try:
            tensors = self._runner.get_tensor_details()
        except ValueError:  # tensors without a type of NumPy's
            return {}
        shapes = {detail["index"]: [int(size) for size in detail["shape"]] for detail in tensors}

        def count(operator: Dict[str, Any]) -> Optional[int]:
            given, made = [[shapes.get(one, []) for one in operator[key]] for key in ("inputs", "outputs")]
            return work.in_tflite(operator["op_name"], given, made[0] if made else [])

        found = work.total((where, count(operator)) for where, operator in placed)
        return {} if found is None else {"multiply_adds": found}

    def _placement(self) -> Dict[str, Any]:
        """Count the operators of each delegate and of the built-in kernels."""
        asked, placed = {"asked": self._asked} if self._asked else {}, self._placed()
        if placed is None:
            words = "this runtime does not tell how much of the graph {} took".format(" and ".join(self._asked))
            return {**asked, "delegate": "unknown", "fallback": words if self._asked else ""}
        placement = Counter(where for where, _ in placed)
        delegates = dict.fromkeys([*self._asked, "XNNPACK"])
        names = [operator["op_name"] for operator in self._runner._get_ops_details()]
        return {
            **asked,
            "delegate": ", ".join(name for name in delegates if placement[name]) or "none",
            "delegate_partitions": names.count("DELEGATE"),
            "placement": dict(placement),
            "left": dict(Counter(one["op_name"] for where, one in placed if where not in (self._asked or delegates))),
            "fallback": fell_back(self._asked, placement),
        }


def computed(runner: Any) -> Dict[str, int]:
    """Count the operators by the type of their first input; {} where the runtime does not tell.

    What a delegate took keeps its type. Beside int8 weights floats are made int8 on the way: such an operator computes
    in that.
    """
    try:
        operators = runner._get_ops_details()
        types = {detail["index"]: detail["dtype"].__name__ for detail in runner.get_tensor_details()}
    except (AttributeError, ValueError):  # a private call; tensors without a type of NumPy's
        return {}
    found = {}  # type: Dict[str, int]
    for operator in operators:
        name, tensors = operator["op_name"], [types.get(index) for index in operator["inputs"]]
        kind = _TYPES.get(tensors[0] or "") if tensors else None
        if kind is None or name in ("DELEGATE", "QUANTIZE", "DEQUANTIZE", "CAST"):
            continue
        is_hybrid = name in _HYBRID and kind == "fp32" and tensors[1:2] in (["int8"], ["uint8"])
        kind = "int8" if is_hybrid else kind
        found[kind] = found.get(kind, 0) + 1
    return found
