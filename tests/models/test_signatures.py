"""TFLite files with several signatures: the one that runs, its inputs and its weights alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import WrongInput
from models.given import typed
from models.prepare import Prepared, prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files
from tests.rigs.bench import Bench
from tests.rigs.own_tflite import Builder, options, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, "t_two_signatures")[0]


def take(store: ArtifactStore, path: Path, signature: str | None = None, *values: str) -> Prepared:
    return prepare(resolve([str(path)], typed((), values, signature)), store)[0]


def test_the_first_graph_runs_unless_another_is_asked_for(path: Path, store: ArtifactStore) -> None:
    (made,) = take(store, path).artifacts.values()
    assert (made.model, made.signature, made.subgraph, made.parameters) == ("t_two_signatures", "large", 0, 2048)
    (same,) = take(store, path, "large").artifacts.values()
    assert (same.signature, same.subgraph, same.sha256) == ("large", 0, made.sha256)


def test_a_signature_has_its_own_inputs_and_weights(path: Path, store: ArtifactStore) -> None:
    model = take(store, path, "small", "x=0.5")
    (made,) = model.artifacts.values()
    assert model.name == "t_two_signatures@small"
    assert (made.signature, made.subgraph, made.parameters) == ("small", 1, 512)
    assert [(spec.name, spec.shape) for spec in made.inputs] == [("x", (1, 64))]
    assert [(spec.name, spec.shape) for spec in made.outputs] == [("y", (1, 8))]
    with np.load(store.io_path(made)) as io:
        assert (io["in0"] == 0.5).all()


def test_the_toml_names_one(path: Path, store: ArtifactStore) -> None:
    path.with_suffix(".toml").write_text("signature = 'small'")
    (made,) = take(store, path).artifacts.values()
    assert made.signature == "small"
    (made,) = take(store, path, "large").artifacts.values()
    assert made.signature == "large"


def test_a_signature_that_no_file_has(path: Path, store: ArtifactStore) -> None:
    with pytest.raises(WrongInput, match="no signature 'medium'; it has large, small"):
        take(store, path, "medium")
    (other,) = write(path.parent, "t_dense")
    with pytest.raises(WrongInput, match="it has none"):
        take(store, other, "medium")
    with pytest.raises(WrongInput, match="only TFLite files have signatures"):
        take(store, onnx_files.static(path.parent / "m.onnx"), "small")


def test_the_weights_of_what_a_graph_calls_are_its_own(tmp_path: Path, store: ArtifactStore) -> None:
    """An If with a graph for each branch, beside a graph that nothing calls."""
    builder = Builder(np.random.default_rng(0))
    flag, x, y = builder.tensor("flag", "bool", [1]), builder.tensor("x", "float32", [1, 8]), 2
    builder.tensor("y", "float32", [1, 4])
    builder.op("IF", [flag, x], [y], options("IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2))
    builder.ends([flag, x], [y])
    for name in ("then", "else", "unused"):
        builder.graph(name)
        inner = builder.tensor(name, "float32", [1, 8])
        builder.ends([inner], [builder.dense(inner, 4, 8, name + "_y")])
    path = tmp_path / "m.tflite"
    path.write_bytes(builder.bytes())
    (made,) = take(store, path).artifacts.values()
    assert (made.signature, made.parameters) == (None, 2 * 32)


def test_a_run_says_which_one_ran(bench: Bench) -> None:
    write(bench.folder, "t_two_signatures")
    model = ("--models", "t_two_signatures.tflite", "--signature", "small", "--threads", "1")
    rows = {row["backend"]: row for row in bench.rows("run", *model)}
    assert rows["tflite"]["signature"] == "small"
    assert rows["tflite"]["verified"]
    assert rows["tflite"]["model"] == "t_two_signatures@small"
    assert rows["openvino"]["verdict"] == "unsupported"
    assert "reads only the first graph" in rows["openvino"]["reason"]
