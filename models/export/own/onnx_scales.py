"""By which scale and zero point an ONNX graph says that its quantized inputs and outputs are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Scale = tuple[float, int]
"""Scale and zero point."""

# What hands on the numbers of its first input, or some of them, as they are.
_PASSING = {
    *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat", "Split", "Slice", "Gather"),
    *("GatherElements", "GatherND", "Expand", "Tile", "Pad", "DepthToSpace", "SpaceToDepth", "MaxPool", "Dropout"),
    *("GlobalMaxPool", "ReduceMax", "ReduceMin", "Max", "Min", "Clip", "Relu", "Resize", "Upsample", "Cast", "TopK"),
}
# Where scale and zero point of the output stand among the inputs, by the operator.
_SCALE_AT = {
    "QuantizeLinear": (1, 2),
    "QLinearConcat": (0, 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"), (6, 7)),
    "QGemm": (7, 8),
}
_UNARY_SCALE_AT = (3, 4)  # QLinearSigmoid, QLinearGlobalAveragePool and their like
# What reads its first input by the scale and zero point in the next two.
_READING = {"DequantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm"}
_MAX_NODES = 1_000_000


def of_inputs(graph: Any) -> dict[str, Scale]:
    """Scale and zero point by which a GraphProto reads its inputs, by the name of each that is read by one."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        if node.input:
            readers.setdefault(node.input[0], []).append(node)
    constants = _constants(graph)
    found = {}
    for value in graph.input:
        scale = _read_by(value.name, readers, constants)
        if scale is not None:
            found[value.name] = scale
    return found


def of_outputs(graph: Any) -> dict[int, Scale]:
    """Scale and zero point of each quantized output of a GraphProto, by position.

    The scale is 1 where it is computed or lies elsewhere: it is in steps that such outputs are compared.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = _constants(graph)
    found = {}
    for index, output in enumerate(graph.output):
        node = _origin(output.name, producers)
        if node is not None:
            found[index] = _scale(node, constants)
    return found


def _read_by(name: str, readers: dict[str, list[Any]], constants: Mapping[str, Any]) -> Scale | None:
    """The first scale and zero point on the ways that begin at a tensor; each way is gone once, also in a cycle."""
    names = [name]
    while names:
        for node in readers.pop(names.pop(), ()):
            scale, zero = _numbers(node, (1, 2), constants) if node.op_type in _READING else (None, None)
            if scale is not None and 0 < scale < float("inf"):
                return scale, int(zero or 0)
            names += node.output if node.op_type in _PASSING else ()
    return None


def _origin(name: str, producers: Mapping[str, Any]) -> Any | None:
    """The operator that made the quantized numbers of a tensor, None where they are not such."""
    for _ in range(_MAX_NODES):
        node = producers.get(name)
        if node is None or (node.op_type != "Split" and name != node.output[0]):
            return None  # the places that TopK found, say
        if "QLinear" in node.op_type or node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear", "QGemm"):
            return node
        if node.op_type not in _PASSING or not node.input:
            return None
        name = node.input[0]
    return None  # a cycle, in a graph that is none


def _scale(node: Any, constants: Mapping[str, Any]) -> Scale:
    scale, zero = _numbers(node, _SCALE_AT.get(node.op_type, _UNARY_SCALE_AT), constants)
    return (scale if scale is not None and 0 < scale < float("inf") else 1.0), int(zero or 0)


def _constants(graph: Any) -> dict[str, Any]:
    """Tensors that the file holds, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for entry in node.attribute if node.op_type == "Constant" and node.output else ():
            if entry.name == "value":
                found[node.output[0]] = entry.t
    return found


def _numbers(node: Any, places: tuple[int, int], constants: Mapping[str, Any]) -> list[float | None]:
    """The first number of each input at these places; None where it is computed, lies elsewhere or is none."""
    from onnx import numpy_helper

    values: list[float | None] = []
    for at in places:
        tensor = constants.get(node.input[at]) if at < len(node.input) else None
        try:
            values.append(None if tensor is None else float(numpy_helper.to_array(tensor).flat[0]))
        except (ValueError, TypeError, IndexError, OSError):
            values.append(None)
    return values
