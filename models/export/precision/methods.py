"""Which other precisions a file can be made in, by which recipe and with which packages. Imports none of them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from models.artifacts import Form
from models.export.precision.work import Work
from models.export.recipe import digest
from results.files import sha256_of

CAST, QDQ, NNCF, STATIC = "cast", "qdq", "nncf", "static"


class Method(NamedTuple):
    """A recipe's file here, the packages it needs, and the runtime whose kernels the file is made for."""

    file: str
    packages: tuple[str, ...]
    runtime: str
    is_calibrated: bool = True
    others: tuple[str, ...] = ()

    @property
    def make(self) -> Callable[[Work], Iterator[str]]:
        """What makes the file, telling its stages."""
        make: Callable[[Work], Iterator[str]] = import_module(f"{__package__}.{self.file}").make
        return make

    def versions(self) -> dict[str, str] | None:
        """Of its packages; None when one of them is not installed here."""
        try:
            return {package: importlib.metadata.version(package) for package in self.packages}
        except importlib.metadata.PackageNotFoundError:
            return None

    def recipe(self, base: str, form: Form, calibration: str) -> str:
        """What a file is made from, versions of the packages aside.

        `base` is the recipe or the key of the fp32 file, `calibration` the identity of the data.
        """
        folder = Path(__file__).parent
        names = [f"{name}.py" for name in ("calibration", "derivation", "quality", "work", self.file, *self.others)]
        sources = {name: sha256_of(folder / name) for name in names}
        return digest({"base": base, "form": list(form), "calibration": calibration, "sources": sources})


METHODS: dict[Form, Method] = {
    Form("onnx", "fp16", CAST): Method("onnx_fp16", ("onnx", "onnxruntime"), "onnxruntime", is_calibrated=False),
    Form("onnx", "int8", QDQ): Method("onnx_qdq", ("onnx", "onnxruntime"), "onnxruntime"),
    Form("onnx", "int8", NNCF): Method("onnx_nncf", ("nncf", "onnx", "openvino"), "openvino"),
    Form("tflite", "fp16", CAST): Method(
        "tflite_fp16", ("ai-edge-quantizer", "ai-edge-litert"), "tflite", is_calibrated=False
    ),
    Form("tflite", "int8", STATIC): Method(
        "tflite_int8", ("ai-edge-quantizer", "ai-edge-litert"), "tflite", others=("race",)
    ),
}
