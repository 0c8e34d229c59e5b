"""ONNX in int8 by ONNX Runtime: QuantizeLinear/DequantizeLinear, u8 activations, s8 weights with a scale a channel.

Signed activations would be slower on x86 everywhere, and percentiles or entropy instead of the least and the largest
value move the signal-to-noise ratio by at most 2 dB (docs/precision.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.export.precision.work import Work, failing, write_onnx


def make(work: Work) -> Iterator[str]:
    """Raises ExportFailed."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    yield "quantizing with ONNX Runtime"
    with TemporaryDirectory() as folder, failing("onnxruntime's quantizer"):
        inferred, quantized = Path(folder) / "inferred.onnx", Path(folder) / "quantized.onnx"
        # Shapes of every tensor, and batch normalization folded: the quantizer leaves out what it has no shape of.
        quant_pre_process(str(work.source), str(inferred))
        quantize_static(
            str(inferred),
            str(quantized),
            _Reader(work),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(quantized)
    write_onnx(model, work.target)


class _Reader:
    """Calibration data as ONNX Runtime asks for them, one inference after the other."""

    def __init__(self, work: Work) -> None:
        self._feeds = ({work.input_name: array} for array in work.calibration)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)
