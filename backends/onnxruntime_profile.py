"""What ONNX Runtime's profile tells of the nodes of a model: where each ran, in which type, on which shapes."""

import json
import os
import tempfile
import threading
from collections import Counter
from typing import Any, Dict, List, Optional, Sequence, Tuple

from backends import work

# A profile's names of types, without those that index and count.
_TYPES = {
    "float": "fp32",
    "double": "fp64",
    "float16": "fp16",
    "bfloat16": "bf16",
    "int8": "int8",
    "uint8": "int8",
    "int16": "int16",
    "uint16": "int16",
}
_CONVERSIONS = (
    "Cast",
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "ReorderInput",
    "ReorderOutput",
)

_PROFILED_RUNS = 3
# What a profile adds to the names of nodes.
_TIMED = "_kernel_time"


def profiled(
    path: str,
    providers: List[str],
    inputs: Dict[str, Any],
    settings: Any,
    runs: int = _PROFILED_RUNS,
    most_s: Optional[float] = None,
) -> List[Dict[str, Any]]:
    """Return what the profile of some inferences in a session of its own tells of each node as it ran.

    `us` is the least time that it took: other processes take theirs from some of them. `name` is that of the node.
    What a provider compiles into one node is one, and what a session adds, like casts, counts. Raises what the runtime
    does, also when the inferences have not ended in `most_s` seconds.
    """
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        settings.enable_profiling = True
        settings.profile_file_prefix = os.path.join(folder, "profile")
        session = ort.InferenceSession(path, settings, providers=providers)
        running = ort.RunOptions()
        watch = threading.Timer(most_s or 0, setattr, (running, "terminate", True))
        if most_s is not None:
            watch.start()
        try:
            for _ in range(runs):
                session.run(None, inputs, running)
        finally:
            watch.cancel()
        with open(session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
    nodes = [event for event in events if event.get("cat") == "Node" and event.get("args", {}).get("provider")]
    found = {}  # type: Dict[Tuple[str, ...], Dict[str, Any]]
    for event in nodes:
        name, args, taken = str(event["name"]), event["args"], event.get("dur", 0)
        key = (name, args["provider"], str(args.get("node_index")))
        us = min(taken, found[key]["us"]) if key in found else taken
        found[key] = dict(args, name=name[: -len(_TIMED)] if name.endswith(_TIMED) else name, us=us)
    return list(found.values())


def worked(nodes: Sequence[Tuple[str, Any]], events: Sequence[Dict[str, Any]]) -> Optional[Dict[str, int]]:
    """Return the multiply-adds by provider; None where a node that has some is not in `events` under its own name."""
    named = Counter(event["name"] for event in events)
    known = {event["name"]: event for event in events if named[event["name"]] == 1}

    def count(node: Any) -> Optional[int]:
        event = known.get(node.name, {})
        given, made = [
            [list(next(iter(tensor.values()), [])) for tensor in event.get(key) or ()]
            for key in ("input_type_shape", "output_type_shape")
        ]
        return work.in_onnx(str(node.op_type), given, made[0] if made else [], str(node.domain))

    return work.total((name, count(node)) for name, node in nodes)


def placed(events: List[Dict[str, Any]]) -> Dict[str, int]:
    """Count the nodes that each provider runs, for older releases, which do not tell."""
    return dict(Counter(event["provider"] for event in events))


def computed(events: List[Dict[str, Any]]) -> Dict[str, int]:
    """Count the nodes by the type that they were given, but for those that only change it."""
    found = Counter()  # type: Counter[str]
    for event in events:
        name, given = str(event.get("op_name", "")), event.get("input_type_shape") or []
        kind = "int8" if name == "DynamicQuantizeMatMul" else _TYPES.get(next(iter(given[0]), "")) if given else None
        if kind and name not in _CONVERSIONS:
            found[kind] += 1
    return dict(found)
