"""What the graph says of its outputs: which are quantized, and whether anything selects by comparing numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.export.own.tflite import OwnTfliteRunner
from models.export.parity import OnnxRunner

Runner = OnnxRunner | OwnTfliteRunner

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

# A number that is a little larger than another may be another's place or choice: small differences become large.
_SELECTING = {
    *("ArgMax", "ArgMin", "TopK", "NonMaxSuppression", "NonZero", "Unique", "Hardmax", "Compress"),
    *("ARG_MAX", "ARG_MIN", "TOPK_V2", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "WHERE", "UNIQUE"),
    *("TFLite_Detection_PostProcess", "CUSTOM", "MULTINOMIAL"),
}
_NO_LAYERS = {"QuantizeLinear", "DequantizeLinear", "Constant", "Identity"}
_MAX_NODES = 1_000_000


@dataclass
class Facts:
    """Scales by the output's position, whether anything selects, and how many operators there are."""

    scales: Mapping[int, Scale] = field(default_factory=dict)
    selects: bool = False
    layers: int = 1


def facts(runner: Runner) -> Facts:
    """What can be known of the outputs of a file that runs; of a graph that cannot be read, nothing."""
    if isinstance(runner, OwnTfliteRunner):
        found = {index: scale for index, scale in enumerate(runner.scales) if scale is not None}
        return Facts(found, not _SELECTING.isdisjoint(runner.operators), max(len(runner.operators), 1))
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.load(str(runner.path), load_external_data=False).graph
    except (OSError, ValueError, DecodeError):
        return Facts()
    operators = [node.op_type for node in graph.node if node.op_type not in _NO_LAYERS]
    return Facts(onnx_scales(graph), not _SELECTING.isdisjoint(operators), max(len(operators), 1))


def onnx_scales(graph: Any) -> dict[int, Scale]:
    """Scale and zero point of each quantized output of a GraphProto, by position.

    The scale is 1 where it is computed or lies elsewhere: it is in steps that such outputs are compared.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for entry in node.attribute if node.op_type == "Constant" and node.output else ():
            if entry.name == "value":
                constants[node.output[0]] = entry.t
    found = {}
    for index, output in enumerate(graph.output):
        node = _origin(output.name, producers)
        if node is not None:
            found[index] = _scale(node, constants)
    return found


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
    from onnx import numpy_helper

    values: list[float] = []
    for at, otherwise in zip(_SCALE_AT.get(node.op_type, _UNARY_SCALE_AT), (1.0, 0.0), strict=True):
        tensor = constants.get(node.input[at]) if at < len(node.input) else None
        try:
            values.append(float(numpy_helper.to_array(tensor).flat[0]) if tensor is not None else otherwise)
        except (ValueError, TypeError, IndexError, OSError):
            values.append(otherwise)
    scale, zero = values
    return (scale if 0 < scale < float("inf") else 1.0), int(zero)
