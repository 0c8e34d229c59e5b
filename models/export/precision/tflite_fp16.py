"""TFLite with weights in float16: half the file; XNNPACK computes in float32 where the CPU has no half precision."""

from __future__ import annotations

from collections.abc import Iterator

from models.export.precision.work import Work, failing


def make(work: Work) -> Iterator[str]:
    """Raises ExportFailed."""
    from ai_edge_quantizer import qtyping, quantizer

    yield "converting to fp16"
    with failing("ai-edge-quantizer"):
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        maker = quantizer.Quantizer(str(work.source))
        maker.update_quantization_recipe(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            qtyping.OpQuantizationConfig(
                weight_tensor_config=weights,
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            quantizer.AlgorithmName.FLOAT_CASTING,
        )
        work.target.write_bytes(bytes(maker.quantize().quantized_model))
