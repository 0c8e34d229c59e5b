"""How much a precision costs: the outputs of its file against those of the fp32 file, under the runtime it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ExportFailed, UnsupportedModel
from models.export.parity import OnnxRunner, TfliteRunner

Run = Callable[[Sequence[NDArray[Any]]], list[Any]]


def runner(path: Path, runtime: str) -> Run:
    """What computes a file as a device does, with the runtime's optimizations.

    Raises ExportFailed; UnsupportedModel where OpenVINO does not take what NNCF wrote.
    """
    try:
        if runtime == "onnxruntime":
            return OnnxRunner(path, optimized=True)
        return TfliteRunner(path) if runtime == "tflite" else _OpenVinoRunner(path)
    except Exception as exc:  # runtimes raise anything
        words = " ".join(str(exc).split())[-600:]
        kind = UnsupportedModel if runtime == "openvino" else ExportFailed
        raise kind(f"{runtime} refuses the file that was made: {words}") from exc


class _OpenVinoRunner:
    def __init__(self, path: Path) -> None:
        import openvino

        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"}
        self._compiled = openvino.Core().compile_model(str(path), "CPU", config)

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[Any]:
        found = self._compiled(list(inputs))
        return [found[port].copy() for port in self._compiled.outputs]


def outputs(run: Run, inputs: Sequence[NDArray[Any]]) -> list[NDArray[np.float64]]:
    """Every output of all inputs together, along the first axis."""
    every = [run([array]) for array in inputs]
    return [
        np.concatenate([np.atleast_1d(one) for one in each]).astype(np.float64) for each in zip(*every, strict=True)
    ]


def top1_agreement(reference: NDArray[Any], found: NDArray[Any]) -> float | None:
    """The share of examples whose largest score stands in the same place; None for what holds no scores."""
    if reference.ndim < 2 or sum(size > 1 for size in reference.shape[1:]) != 1:
        return None
    one, other = (array.reshape(len(array), -1).argmax(axis=1) for array in (reference, found))
    return float(np.mean(one == other))
