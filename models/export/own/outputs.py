"""What the graph says of its outputs: which are quantized, and whether anything selects by comparing numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.export.own import onnx_scales
from models.export.own.onnx_scales import Scale
from models.export.own.tflite import OwnTfliteRunner
from models.export.parity import OnnxRunner

Runner = OnnxRunner | OwnTfliteRunner

# A number that is a little larger than another may be another's place or choice: small differences become large.
_SELECTING = {
    *("ArgMax", "ArgMin", "TopK", "NonMaxSuppression", "NonZero", "Unique", "Hardmax", "Compress"),
    *("ARG_MAX", "ARG_MIN", "TOPK_V2", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "WHERE", "UNIQUE"),
    *("TFLite_Detection_PostProcess", "CUSTOM", "MULTINOMIAL"),
}
_NO_LAYERS = {"QuantizeLinear", "DequantizeLinear", "Constant", "Identity"}


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
    return Facts(onnx_scales.of_outputs(graph), not _SELECTING.isdisjoint(operators), max(len(operators), 1))
