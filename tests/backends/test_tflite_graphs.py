"""Which graph of a TFLite file runs, and which array goes to which of its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backends
from backends.base import Session, Unsupported
from tests.rigs.own_tflite import Builder, options

A, B = np.full((1, 8), 5, np.float32), np.full((1, 8), 3, np.float32)


def load(name: str, path: Path, inputs: list[tuple[str, Any]], **more: Any) -> Session:
    specs = [{"name": name, "dtype": "float32", "shape": list(array.shape)} for name, array in inputs]
    return backends.find(name)().load(str(path), specs, {"threads": 1, "precision": "fp32", **more})


def outputs(name: str, path: Path, inputs: list[tuple[str, Any]], **more: Any) -> list[list[float]]:
    session = load(name, path, inputs, **more)
    session.bind(inputs)
    session.run()
    return [output[0].tolist() for output in session.outputs()]


def arithmetic(builder: Builder, names: tuple[str, str, str, str], inputs: Any, ends: Any) -> list[int]:
    """The tensors x, z, x + z and x - z, with these names, and which of them go in and out."""
    tensors = [builder.tensor(name, "float32", [1, 8]) for name in names]
    x, z, total, difference = tensors
    builder.op("ADD", [x, z], [total], options("AddOptions"))
    builder.op("SUB", [x, z], [difference], options("SubOptions"))
    builder.ends([tensors[place] for place in inputs], [tensors[place] for place in ends])
    return tensors


def write(path: Path, builder: Builder) -> Path:
    path.write_bytes(builder.bytes())
    return path


@pytest.fixture
def builder() -> Builder:
    return Builder(np.random.default_rng(0))


@pytest.mark.parametrize("name", ["tflite", "openvino"])
@pytest.mark.parametrize("inputs", [(0, 1), (1, 0)])
@pytest.mark.parametrize("ends", [(2, 3), (3, 2)])
def test_tensors_are_in_the_files_order(tmp_path: Path, builder: Builder, name: str, inputs: Any, ends: Any) -> None:
    arithmetic(builder, ("x", "z", "total", "difference"), inputs, ends)
    path = write(tmp_path / "m.tflite", builder)
    fed = [("xz"[place], (A, B)[place]) for place in inputs]
    expected = {2: 8.0, 3: 2.0}
    assert [one[0] for one in outputs(name, path, fed)] == [expected[place] for place in ends]


@pytest.mark.parametrize("names", [("", "", "", ""), ("x", "x", "y", "y")])
def test_inputs_without_names_of_their_own(tmp_path: Path, builder: Builder, names: Any) -> None:
    arithmetic(builder, names, (0, 1), (2, 3))
    path = write(tmp_path / "m.tflite", builder)
    fed = [(names[0], A), (names[1], B)]
    assert outputs("tflite", path, fed) == [[8.0] * 8, [2.0] * 8]
    with pytest.raises(Unsupported, match="tells tensors apart by name"):
        outputs("openvino", path, fed)


@pytest.fixture
def signed(tmp_path: Path, builder: Builder) -> Path:
    """Its second signature calls inputs otherwise, and in another order, than the graph does."""
    x = builder.tensor("x", "float32", [1, 8])
    y = builder.dense(x, 4, 8, "y")
    builder.ends([x], [y])
    builder.graph("second")
    first, second, total, difference = arithmetic(builder, ("x", "y", "s", "d"), (1, 0), (3, 2))
    builder.signature("zeta", 0, {"x": x}, {"y": y})
    builder.signature("alpha", 1, {"z": first, "a": second}, {"sum": total, "difference": difference})
    return write(tmp_path / "signed.tflite", builder)


@pytest.mark.parametrize("fed", [[("z", A), ("a", B)], [("a", B), ("z", A)]])
def test_a_signature_runs_its_own_graph(signed: Path, fed: Any) -> None:
    assert outputs("tflite", signed, fed, signature="alpha") == [[2.0] * 8, [8.0] * 8]  # by their names
    assert len(outputs("tflite", signed, [("x", A)])[0]) == 4


def test_a_signature_takes_other_sizes(tmp_path: Path, builder: Builder) -> None:
    arithmetic(builder, ("x", "z", "s", "d"), (0, 1), (2, 3))
    builder.graph("open")
    x = builder.tensor("x", "float32", [1, 8], sizes=[-1, 8])
    y = builder.tensor("y", "float32", [1, 8], sizes=[-1, 8])
    builder.op("ABS", [x], [y], options("AbsOptions"))
    builder.ends([x], [y])
    builder.signature("open", 1, {"x": x}, {"y": y})
    path = write(tmp_path / "m.tflite", builder)
    session = load("tflite", path, [("x", np.zeros((3, 8), np.float32))], signature="open")
    session.bind([("x", np.full((3, 8), -2, np.float32))])
    session.run()
    assert session.outputs()[0].tolist() == [[2.0] * 8] * 3
    assert session.actual()["fallback"] == ""
    assert session.examine() == {}


def test_a_signature_that_is_not_there_or_not_read(signed: Path) -> None:
    with pytest.raises(Unsupported, match="no signature beta; it has: zeta, alpha"):
        load("tflite", signed, [("x", A)], signature="beta")
    with pytest.raises(Unsupported, match=r"inputs are \['a', 'z'\]"):
        load("tflite", signed, [("x", A)], signature="alpha")
    with pytest.raises(Unsupported, match="reads only the first graph of a TFLite file; signature alpha"):
        load("openvino", signed, [("x", A)], signature="alpha")
