"""The same model with a little noise on its inputs and weights: what changes by it, the last bits of a float decide."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.export.own.outputs import Runner
from models.export.parity import OnnxRunner

# Larger files are not written anew for it; noise on the inputs has to do.
_MAX_BYTES = 256 * 2**20


def nudged(fed: Sequence[NDArray[Any]], level: float, sign: int, rng: np.random.Generator) -> list[NDArray[Any]] | None:
    """The inputs with relative noise; of 8-bit pictures some elements by 1. None where nothing can be changed."""
    changed, arrays = False, []
    for array in fed:
        if array.dtype.kind == "f":
            new = _noisy(array, level, sign, rng)
        elif array.dtype.itemsize == 1 and array.dtype.kind in "iu" and array.ndim >= 3:
            limits = np.iinfo(array.dtype)
            step = sign * rng.choice([-1, 1], array.shape) * (rng.random(array.shape) < min(1.0, 30 * level))
            new = np.clip(array.astype(np.int64) + step, limits.min, limits.max).astype(array.dtype)
        else:
            new = array
        changed = changed or not np.array_equal(new, array, equal_nan=array.dtype.kind == "f")
        arrays.append(new)
    return arrays if changed else None


@contextmanager
def shaken(runner: Runner, level: float, sign: int, rng: np.random.Generator) -> Iterator[Runner | None]:
    """The runner of a copy whose weights have relative noise; None where that is too much work."""
    write = _onnx if isinstance(runner, OnnxRunner) else _tflite
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"model{runner.path.suffix}"
        yield runner.at(copy) if write(runner.path, copy, lambda array: _noisy(array, level, sign, rng)) else None


def _noisy(array: NDArray[Any], level: float, sign: int, rng: np.random.Generator) -> NDArray[Any]:
    noise = 1 + sign * max(level, float(np.finfo(array.dtype).eps)) * rng.standard_normal(array.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array * noise).astype(array.dtype)


Change = Callable[[NDArray[Any]], NDArray[Any]]


def _onnx(source: Path, target: Path, change: Change) -> bool:
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load(str(source), load_external_data=False)
    tensors = [*model.graph.initializer, *_constants(model.graph)]
    is_outside = any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors)
    if is_outside or source.stat().st_size > _MAX_BYTES:
        return False
    for tensor in tensors:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            array = numpy_helper.to_array(tensor)
            if array.size > 1:  # a single number is an epsilon, an axis, a scale
                tensor.CopyFrom(numpy_helper.from_array(change(array), tensor.name))
    onnx.save(model, str(target))
    return True


def _constants(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (entry.t for entry in node.attribute if entry.name == "value")


def _tflite(source: Path, target: Path, change: Change) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    if source.stat().st_size > _MAX_BYTES:
        return False
    content = bytearray(source.read_bytes())
    model = schema.Model.GetRootAs(content, 0)
    types = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
    buffers: dict[int, Any] = {}
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for index in range(graph.TensorsLength()):
            tensor = graph.Tensors(index)
            if tensor.Type() in types and model.Buffers(tensor.Buffer()).DataLength():
                buffers[tensor.Buffer()] = types[tensor.Type()]  # several tensors may share one
    for number, dtype in buffers.items():
        data = model.Buffers(number).DataAsNumpy()  # a view of `content`
        array = data.view(dtype)
        if array.size > 1:
            array[...] = change(array)
    target.write_bytes(content)
    return True
