"""Multiply-adds of an operator from the shapes of its tensors.

Counted are convolutions and matrix products; bias, normalization, activation and pooling count as free, as in
everything that bench says of a network's cost. What may hold products that its shapes do not show (recurrent cells,
attention in one operator, graphs inside an operator, operators of one's own) is not known, so that nothing is guessed.
"""

import math
from typing import Callable, Dict, Iterable, Optional, Sequence, Tuple

Shape = Sequence[int]
Rule = Callable[[Sequence[Shape], Shape], int]


def total(placed: Iterable[Tuple[str, Optional[int]]]) -> Optional[Dict[str, int]]:
    """Return {where: multiply-adds} of operators as (where, multiply-adds); None when those of one are unknown."""
    found = {}  # type: Dict[str, int]
    for where, count in placed:
        if count is None:
            return None
        found[where] = found.get(where, 0) + count
    return found


def in_onnx(kind: str, inputs: Sequence[Shape], output: Shape, domain: str = "") -> Optional[int]:
    """Those of an operator of ONNX or ONNX Runtime, None where they are not known."""
    return _counted(_ONNX, kind in _ONNX_OPAQUE or domain not in ("", "ai.onnx", "ai.onnx.ml"), kind, inputs, output)


def in_tflite(kind: str, inputs: Sequence[Shape], output: Shape) -> Optional[int]:
    """Those of an operator of TFLite, whose own names are in capitals; None where they are not known."""
    is_opaque = kind in _TFLITE_OPAQUE or not kind.isupper() or "LSTM" in kind or kind.startswith("STABLEHLO")
    return _counted(_TFLITE, is_opaque, kind, inputs, output)


def in_openvino(kind: str, inputs: Sequence[Shape], output: Shape, is_turned: bool = False) -> Optional[int]:
    """Those of an operator of OpenVINO, None where they are not known; `is_turned` is a MatMul's `transpose_a`."""
    if is_turned and inputs and len(inputs[0]) > 1:
        inputs = [[*inputs[0][:-2], inputs[0][-1], inputs[0][-2]], *inputs[1:]]
    is_opaque = kind in _OPENVINO_OPAQUE or kind.endswith(("Cell", "Sequence", "Attention"))
    return _counted(_OPENVINO, is_opaque, kind, inputs, output)


def _counted(
    rules: Dict[str, Rule], is_opaque: bool, kind: str, inputs: Sequence[Shape], output: Shape
) -> Optional[int]:
    if kind not in rules:
        return None if is_opaque else 0
    if not output:  # not told; nothing that is multiplied is a scalar
        return None
    try:
        count = rules[kind](inputs, output)
    except (IndexError, ZeroDivisionError):  # a tensor that the runtime does not tell of
        return None
    return count if count >= 0 else None


def _size(shape: Shape) -> int:
    return math.prod(shape)


def _convolution(weights: int, first: int, end: Optional[int] = None) -> Rule:
    """Every element of the output is a sum over those dimensions of the input number `weights`."""
    return lambda inputs, output: _size(output) * _size(_of_rank(inputs[weights], output)[first:end])


def _transposed(given: int, weights: int, first: int, end: Optional[int] = None) -> Rule:
    """Every element of the input number `given` is multiplied by all of those dimensions."""
    return lambda inputs, output: _size(inputs[given]) * _size(_of_rank(inputs[weights], output)[first:end])


def _of_rank(weights: Shape, output: Shape) -> Shape:
    """Weights, which have a dimension for each of the output or one for groups besides; what has fewer is a bias."""
    if len(weights) < len(output):
        raise IndexError
    return weights


def _product(inputs: Sequence[Shape], output: Shape) -> int:
    """The rows of the first input by whatever stands in the second."""
    return _size(output) * inputs[0][-1]


def _gemm(inputs: Sequence[Shape], output: Shape) -> int:
    """The first input may be turned over."""
    return _size(output) * (_size(inputs[0]) // output[0])


def _batched(inputs: Sequence[Shape], output: Shape) -> int:
    """The first input may be turned over; it must not be repeated for each product of the batch."""
    if len(inputs[0]) != len(output) or list(inputs[0][:-2]) != list(output[:-2]):
        raise IndexError
    return _size(output) * (_size(inputs[0]) // _size(output[:-1]))


_ONNX = {
    **dict.fromkeys(("Conv", "ConvInteger", "FusedConv"), _convolution(1, 1)),
    "QLinearConv": _convolution(3, 1),
    "ConvTranspose": _transposed(0, 1, 1),
    "Gemm": _gemm,
    **dict.fromkeys(
        ("MatMul", "MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits"),
        _product,
    ),
}  # type: Dict[str, Rule]
_ONNX_OPAQUE = ("If", "Loop", "Scan", "SequenceMap", "LSTM", "GRU", "RNN", "Einsum", "Attention", "DeformConv")

_TFLITE = {
    "CONV_2D": _convolution(1, 1),  # weights [out, height, width, in]
    "DEPTHWISE_CONV_2D": _convolution(1, 1, 3),  # [1, height, width, out]
    "CONV_3D": _convolution(1, 0, 4),  # [depth, height, width, in, out]
    "TRANSPOSE_CONV": _transposed(2, 1, 0, 3),  # [out, height, width, in]
    "CONV_3D_TRANSPOSE": _transposed(2, 1, 0, 4),  # [depth, height, width, out, in]
    "FULLY_CONNECTED": lambda inputs, output: _size(output) * inputs[1][1],  # [out, in]
    "BATCH_MATMUL": _batched,
}  # type: Dict[str, Rule]
_TFLITE_OPAQUE = ("RNN", "SVDF", "IF", "WHILE", "CALL", "CALL_ONCE", "CUSTOM", "UNIDIRECTIONAL_SEQUENCE_RNN",
                  "BIDIRECTIONAL_SEQUENCE_RNN")  # fmt: skip

_OPENVINO = {
    "Convolution": _convolution(1, 1),  # [out, in, …]
    "GroupConvolution": _convolution(1, 2),  # [groups, out, in, …]
    "ConvolutionBackpropData": _transposed(0, 1, 1),  # [in, out, …]
    "GroupConvolutionBackpropData": _transposed(0, 1, 2),  # [groups, in, out, …]
    "MatMul": _product,
}  # type: Dict[str, Rule]
_OPENVINO_OPAQUE = ("If", "Loop", "TensorIterator", "Einsum", "DeformableConvolution", "BinaryConvolution")
