"""All operators of a file that the runtime here does not know; the runtime itself names the first one only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from models.export.own.graphs import graphs, inner_graphs

_SHOWN = 20


def in_onnx(model: Any) -> list[str]:
    """Of a parsed ONNX model, as `domain:Operator`; those of its own functions are known."""
    from onnxruntime.capi import _pybind_state

    try:
        schemas = _pybind_state.get_all_operator_schema()
    except AttributeError:  # a private call
        return []
    known = {(_domain(schema.domain), schema.name) for schema in schemas}
    known |= {(_domain(function.domain), function.name) for function in model.functions}
    used = Counter((_domain(node.domain), node.op_type) for node in _nodes(model))
    return [f"{domain}:{name}" if domain else name for domain, name in used if (domain, name) not in known]


def in_tflite(model: Any, builtin: Mapping[int, str]) -> list[str]:
    """Of a parsed TFLite model, by the schema's names: custom ones, and numbers that the schema does not have."""
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    numbers = {max(code.BuiltinCode(), code.DeprecatedBuiltinCode()) for code in codes} - builtin.keys()
    custom = {code.CustomCode() or b"" for code in codes if builtin.get(code.BuiltinCode()) == "CUSTOM"}
    return [name.decode("utf-8", "replace") for name in sorted(custom)] + [f"number {one}" for one in sorted(numbers)]


def note(what: str, names: list[str]) -> list[str]:
    """What to say of them, if there is anything."""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what}: {', '.join(name[:80] for name in names[:_SHOWN])}{more}"] if names else []


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _nodes(model: Any) -> Iterator[Any]:
    for graph in graphs(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in inner_graphs(node):
                for graph in graphs(inner):
                    yield from graph.node
