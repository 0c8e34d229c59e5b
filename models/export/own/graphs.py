"""Walking an ONNX model: every graph, node and tensor, wherever it may be kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def graphs(graph: Any) -> Iterator[Any]:
    """A graph and those inside its nodes (the branches of If, the bodies of Loop and Scan)."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from graphs(inner)


def inner_graphs(node: Any) -> Iterator[Any]:
    """The graphs that a node holds itself."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def tensors(model: Any) -> Iterator[Any]:
    """Every tensor of a model."""
    yield from _tensors_of(graphs(model.graph))
    for function in model.functions:
        yield from _tensors_in(function.node)
        yield from _tensors_of(graph for node in function.node for one in inner_graphs(node) for graph in graphs(one))


def _tensors_of(found: Iterable[Any]) -> Iterator[Any]:
    for graph in found:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from _tensors_in(graph.node)


def _tensors_in(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in sparse_tensors(attribute):
                yield from (sparse.values, sparse.indices)


def sparse_tensors(attribute: Any) -> Iterator[Any]:
    """The sparse tensors that an attribute holds."""
    if attribute.HasField("sparse_tensor"):
        yield attribute.sparse_tensor
    yield from attribute.sparse_tensors
