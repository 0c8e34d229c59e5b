"""PyTorch to ONNX: one file, opset 18, static batch of 1, the same bytes wherever it is made."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from models.errors import ExportFailed

OPSET = 18


def export(module: torch.nn.Module, shape: tuple[int, ...], target: Path) -> None:
    """Write `module` for a float32 input of `shape` (NCHW) to `target`. Raises ExportFailed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (torch.zeros(shape),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
    if program is None:
        raise ExportFailed("torch.onnx.export returned nothing")
    model = program.model_proto
    _strip(model)
    _check(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _strip(model: Any) -> None:
    """Drop stack traces and the like: they hold this machine's paths, and the hash would depend on them."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    for group in (graph.node, graph.initializer, graph.input, graph.output, graph.value_info, model.functions):
        for item in group:
            del item.metadata_props[:]
            item.doc_string = ""
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


def _check(model: Any) -> None:
    """The exporter may answer another opset than was asked for, with a logged traceback and no exception."""
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), None)
    if opset != OPSET:
        raise ExportFailed(f"the exporter wrote opset {opset} instead of {OPSET}")
    names = [value.name for value in (*model.graph.input, *model.graph.output)]
    if names != ["input", "output"]:
        raise ExportFailed(f"the exporter named inputs and outputs {names} instead of input, output")
    onnx.checker.check_model(model, full_check=True)
