"""Running model files on this host, and whether they compute what they should."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ExportFailed
from results.records import TensorSpec

Arrays = list[NDArray[Any]]

# Accepted max |exported - PyTorch| over max |PyTorch|, fp32 on both sides. Measured: up to about 1e-5.
EXPORT_TOLERANCE = 1e-4


class OnnxRunner:
    """A file under ONNX Runtime's CPU provider."""

    def __init__(self, path: Path, optimized: bool = False) -> None:
        import onnxruntime

        self.path = path
        options = onnxruntime.SessionOptions()
        if not optimized:
            # The reference is the graph as it is written: fusions and layout changes are what a device is checked for.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]
        self.output_names: list[str] = [value.name for value in self._session.get_outputs()]

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[Any]:
        """Outputs for inputs in the file's order."""
        return list(self._session.run(None, dict(zip(self._inputs, inputs, strict=True))))

    def other(self) -> OnnxRunner:
        """The same file with the runtime's optimizations."""
        return OnnxRunner(self.path, optimized=True)

    def at(self, path: Path) -> OnnxRunner:
        """The same of another file."""
        return OnnxRunner(path)


class TfliteRunner:
    """A file under LiteRT."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self.output_names: list[str] = [detail["name"] for detail in self._interpreter.get_output_details()]

    def input_specs(self) -> list[TensorSpec]:
        """The inputs, in the file's order."""
        return [tflite_spec(detail) for detail in self._interpreter.get_input_details()]

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[Any]:
        """Outputs for inputs in the file's order."""
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._interpreter.get_output_details()]


def tflite_spec(detail: dict[str, Any]) -> TensorSpec:
    """One entry of `get_input_details()` as a record."""
    shape = tuple(int(size) for size in detail["shape"])
    return TensorSpec(name=detail["name"], dtype=np.dtype(detail["dtype"]).name, shape=shape)


def spec(name: str, array: NDArray[Any]) -> TensorSpec:
    """The record of an input or output that holds `array`."""
    return TensorSpec(name=name, dtype=array.dtype.name, shape=array.shape)


def check(actual: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return max |actual - reference|. Raises ExportFailed when it is beyond EXPORT_TOLERANCE of max |reference|."""
    if actual.shape != reference.shape:
        raise ExportFailed(f"the exported file answers the shape {actual.shape}, PyTorch {reference.shape}")
    worst = float(np.max(np.abs(actual.astype(np.float64) - reference)))
    scale = float(np.max(np.abs(reference)))
    if not worst <= EXPORT_TOLERANCE * scale:  # also true for NaN
        raise ExportFailed(f"the exported file is off by {worst:.3g} where PyTorch's outputs reach {scale:.3g}")
    return worst
