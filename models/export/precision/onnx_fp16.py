"""ONNX in half precision: weights and activations float16, inputs and outputs float32 as before."""

from __future__ import annotations

from collections.abc import Iterator

from models.export.precision.work import Work, failing, write_onnx


def make(work: Work) -> Iterator[str]:
    """Raises ExportFailed."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    yield "converting to fp16"
    with failing("onnxruntime's float16 converter"):
        half = OnnxModel(convert_float_to_float16(onnx.load(work.source), keep_io_types=True))
        half.topological_sort(is_deterministic=True)  # the converter appends its casts at the end
    write_onnx(half.model, work.target)
