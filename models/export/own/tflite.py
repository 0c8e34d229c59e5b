"""Reading the user's TFLite files from their schema; the file itself is never changed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.tflite_graph import graph_of
from models.artifacts import SourceFile
from models.errors import UnreadableModel, UnsupportedModel, WrongInput
from models.export.own import unknown
from models.export.own.numbers import Numbers
from models.export.own.shapes import Declared
from results.files import sha256_of

MAX_BYTES = 2**31 - 1  # flatbuffers use 32-bit offsets

_DTYPES = {
    **{f"FLOAT{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}INT{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
_PRECISIONS = {
    "FLOAT64": "fp64",
    "FLOAT32": "fp32",
    "FLOAT16": "fp16",
    "BFLOAT16": "bf16",
    "INT16": "int16",
    **dict.fromkeys(("INT8", "UINT8"), "int8"),
    **dict.fromkeys(("INT4", "UINT4"), "int4"),
    "INT2": "int2",
}
_MULTIPLY = {
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "CONV_3D_TRANSPOSE",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    "LSTM",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "RNN",
    "SVDF",
}
_TABLES = {"GATHER", "EMBEDDING_LOOKUP", "GATHER_ND"}
# Options that name other graphs, and their fields that do.
_CALLS = {
    "IfOptions": ("ThenSubgraphIndex", "ElseSubgraphIndex"),
    "WhileOptions": ("CondSubgraphIndex", "BodySubgraphIndex"),
    "CallOptions": ("Subgraph",),
    "CallOnceOptions": ("InitSubgraphIndex",),
    "StableHLOCompositeOptions": ("DecompositionSubgraphIndex",),
    "StablehloWhileOptions": ("CondSubgraphIndex", "BodySubgraphIndex"),
    "StablehloReduceOptions": ("BodySubgraphIndex",),
    "StablehloReduceWindowOptions": ("BodySubgraphIndex",),
    "StablehloScatterOptions": ("UpdateComputationSubgraphIndex",),
    "StablehloSortOptions": ("ComparatorSubgraphIndex",),
}


class OwnTflite:
    """One file, seen through its schema. Raises UnreadableModel when it cannot be.

    `subgraph` is the graph that runs: the first one, or that of the signature that was asked for. `signature` is its
    name where there are several, or one was asked for.
    """

    def __init__(self, path: Path, signature: str | None = None) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.path = path
        self.operators: list[str] = []  # of the graph that runs and those that it calls
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableModel(f"{path}: {size / 2**30:.1f} GiB; TFLite allows 2 GiB, use a smaller model")
        self._names = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        operators = vars(schema.BuiltinOperator).items()
        self._operator_names = {value: name for name, value in operators if isinstance(value, int)}
        try:
            self._model = schema.Model.GetRootAs(path.read_bytes(), 0)
            self.signature, self.subgraph = self._choose(signature)
            self._graph = self._model.Subgraphs(self.subgraph)
            inputs, outputs = self._ends()
            self._inputs = [self._declared(name, index) for name, index in inputs]
            self._numbers = self._count(schema)
        except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as exc:
            raise UnreadableModel(f"{path}: a damaged TFLite file; export or copy it again") from exc
        if not outputs:
            raise UnreadableModel(f"{path}: the model has no outputs, so there is nothing to compute; export it again")
        self.sources = [SourceFile(path=path.name, sha256=sha256_of(path))]

    def declared_inputs(self) -> list[Declared]:
        """Inputs in the file's, or the signature's, order; -1 in their shape signature is a dynamic dimension."""
        return self._inputs

    def unknown_operators(self) -> list[str]:
        """Custom ones, and those of a later schema."""
        return unknown.in_tflite(self._model, self._operator_names)

    def numbers(self) -> Numbers:
        """Its weights, and the types it computes in."""
        return self._numbers

    def _choose(self, wanted: str | None) -> tuple[str | None, int]:
        """Raises WrongInput for a signature that the file does not have."""
        known = [self._model.SignatureDefs(number) for number in range(self._model.SignatureDefsLength())]
        graphs = {(one.SignatureKey() or b"").decode(): int(one.SubgraphIndex()) for one in known}
        if wanted is not None and wanted not in graphs:
            raise WrongInput(f"{self.path}: no signature {wanted!r}; it has {', '.join(graphs) or 'none'}")
        if not all(0 <= index < self._model.SubgraphsLength() for index in graphs.values()):
            raise IndexError
        first = next((name for name, index in graphs.items() if index == 0), None) if len(graphs) > 1 else None
        name = first if wanted is None else wanted
        return name, 0 if wanted is None else graphs[wanted]

    def _ends(self) -> tuple[list[tuple[str, int]], list[int]]:
        """Inputs with their names, and outputs: of the first graph its own, of another those of its signature."""
        if not self.subgraph:
            inputs = _numbers(self._graph.InputsAsNumpy())
            named = [((self._graph.Tensors(index).Name() or b"").decode(), index) for index in inputs]
            return named, _numbers(self._graph.OutputsAsNumpy())
        known = [self._model.SignatureDefs(number) for number in range(self._model.SignatureDefsLength())]
        chosen = next(one for one in known if (one.SignatureKey() or b"").decode() == self.signature)
        maps = [chosen.Inputs(number) for number in range(chosen.InputsLength())]
        named = [((one.Name() or b"").decode(), int(one.TensorIndex())) for one in maps]
        return named, [int(chosen.Outputs(number).TensorIndex()) for number in range(chosen.OutputsLength())]

    def _declared(self, name: str, index: int) -> Declared:
        tensor = self._graph.Tensors(index)
        kind = self._names.get(tensor.Type(), f"type number {tensor.Type()}")
        if kind not in _DTYPES:
            raise UnsupportedModel(f"{self.path}: input {name} holds {kind.lower()}, which cannot be fed")
        sizes = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else tensor.ShapeAsNumpy()
        dims = tuple(size if size >= 0 else None for size in _numbers(sizes))
        return Declared(name, _DTYPES[kind], dims, *_quantization(tensor))

    def _count(self, schema: Any) -> Numbers:
        found, activations, others = Numbers(), Counter[str](), Counter[str]()
        buffers: set[int] = set()
        for graph in self._graphs(schema):
            kinds = [self._kind(graph.Tensors(index)) for index in range(graph.TensorsLength())]
            constant = [self._is_constant(graph.Tensors(index)) for index in range(graph.TensorsLength())]
            tables, multiplied = self._operators(graph, kinds, constant, others)
            activations += multiplied
            for index, kind in enumerate(kinds):
                tensor = graph.Tensors(index)
                if not kind or not constant[index] or tensor.Buffer() in buffers:
                    continue
                buffers.add(tensor.Buffer())  # several tensors, or signatures, may share one
                size = int(np.prod(_numbers(tensor.ShapeAsNumpy()), dtype=object))
                found.parameters += size
                if size > 1:
                    found.weights[kind] += size
                    found.multiplied[kind] += 0 if index in tables else size
        found.multiplied = +found.multiplied
        found.activations = activations or others
        return found

    def _graphs(self, schema: Any) -> Iterator[Any]:
        """The graph that is run and those that it calls, each once."""
        found, todo = set[int](), [self.subgraph]
        while todo:
            number = todo.pop()
            if number in found or not 0 <= number < self._model.SubgraphsLength():
                continue
            found.add(number)
            graph = self._model.Subgraphs(number)
            for index in range(graph.OperatorsLength()):
                todo += _called(schema, graph.Operators(index))
            yield graph

    def _operators(
        self, graph: Any, kinds: list[str], constant: list[bool], others: Counter[str]
    ) -> tuple[set[int], Counter[str]]:
        """Tensors that are only looked up in; operators that multiply by the type of their output."""
        tables, elsewhere, multiplied = set[int](), set[int](), Counter[str]()
        for number in range(graph.OperatorsLength()):
            operator = graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = self._operator_names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
            self.operators.append((code.CustomCode() or b"").decode() or name)
            inputs = [index for index in _numbers(operator.InputsAsNumpy()) if index >= 0]
            elsewhere.update(inputs if name not in _TABLES else inputs[1:])
            tables.update(inputs if name in _TABLES else ())
            if all(constant[index] for index in inputs):
                continue  # fp16 weights made fp32, say
            for index in _numbers(operator.OutputsAsNumpy())[:1]:
                if kinds[index]:
                    (multiplied if name in _MULTIPLY else others)[kinds[index]] += 1
        return tables - elsewhere, multiplied

    def _kind(self, tensor: Any) -> str:
        """The type of a tensor's numbers, "" for what is no number: an index, a shape, an axis."""
        kind = self._names.get(tensor.Type(), "")
        # An int32 or int64 is a bias where it has a scale.
        quantized = tensor.Quantization() is not None and tensor.Quantization().ScaleLength() > 0
        if kind in ("INT32", "INT64"):
            return "int8" if quantized else ""
        return _PRECISIONS.get(kind, "") if kind != "INT16" or quantized else ""

    def _is_constant(self, tensor: Any) -> bool:
        buffer = self._model.Buffers(tensor.Buffer())
        return bool(buffer.DataLength() or buffer.Size())


def _called(schema: Any, operator: Any) -> list[int]:
    """The graphs that an operator runs: branches, bodies, what it consists of."""
    found = []
    for kinds, kind, table in (
        (schema.BuiltinOptions, operator.BuiltinOptionsType(), operator.BuiltinOptions()),
        (schema.BuiltinOptions2, operator.BuiltinOptions2Type(), operator.BuiltinOptions2()),
    ):
        name = next((name for name, number in vars(kinds).items() if number == kind), "NONE")
        if table is not None and name in _CALLS:
            options = getattr(schema, name)()
            options.Init(table.Bytes, table.Pos)
            found += [int(getattr(options, field)()) for field in _CALLS[name]]
    return found


def _quantization(tensor: Any) -> tuple[float | None, int]:
    """Scale and zero point of a tensor that has one of each, (None, 0) for any other."""
    said = tensor.Quantization()
    if said is None or said.ScaleLength() != 1 or said.ZeroPointLength() > 1 or not 0 < said.Scale(0) < np.inf:
        return None, 0
    return float(said.Scale(0)), int(said.ZeroPoint(0)) if said.ZeroPointLength() else 0


def _numbers(array: Any) -> list[int]:
    """A flatbuffers vector as integers; the generated code answers 0 for one that is not there."""
    return [] if isinstance(array, int) else [int(number) for number in array]


class OwnTfliteRunner:
    """The chosen graph under LiteRT's own kernels: those of XNNPACK, which are measured, would prove little."""

    def __init__(
        self,
        model: OwnTflite,
        shapes: Sequence[tuple[int, ...]],
        delegate: bool = False,
        path: Path | None = None,
    ) -> None:
        """`path` is that of a file of the same graphs with other weights."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._model, self._shapes = model, shapes
        self.path = path or model.path
        resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(str(self.path), num_threads=1, experimental_op_resolver_type=resolver)
        self._graph = graph_of(interpreter, model.signature or "" if model.subgraph else "")
        inputs = self._graph.ordered([declared.name for declared in model.declared_inputs()])
        self._places = [detail["index"] for detail in inputs]
        for detail, shape in zip(inputs, shapes, strict=True):
            if tuple(detail["shape"]) != shape:
                self._graph.resize(detail["index"], list(shape))
        self._graph.allocate()
        self.output_names: list[str] = [detail["name"] for detail in self._graph.outputs()]

    def other(self) -> OwnTfliteRunner:
        """The same with XNNPACK's kernels."""
        return OwnTfliteRunner(self._model, self._shapes, delegate=True)

    def at(self, path: Path) -> OwnTfliteRunner:
        """The same of another file."""
        return OwnTfliteRunner(self._model, self._shapes, path=path)

    @property
    def scales(self) -> list[tuple[float, int] | None]:
        """Scale and zero point of each output, None for one that is not quantized."""
        found = [detail["quantization"] for detail in self._graph.outputs()]
        return [(float(scale), int(zero)) if scale else None for scale, zero in found]

    @property
    def operators(self) -> list[str]:
        """The operators of the graph and of those that it calls."""
        return self._model.operators

    def __call__(self, inputs: Sequence[NDArray[Any]]) -> list[Any]:
        """Outputs for inputs in the file's order."""
        for index, array in zip(self._places, inputs, strict=True):
            self._graph.set(index, array)
        self._graph.run()
        return [self._graph.get(detail["index"]) for detail in self._graph.outputs()]
