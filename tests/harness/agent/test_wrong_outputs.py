"""Models that are broken on purpose, against the references of the sound ones, by the real agent and real runtimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from harness.jobs.base import Terms
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import rules
from harness.link import bundle
from models.artifacts import Artifact
from models.export.orders import FileOrder, FileTarget
from models.export.own.files import FileImport
from models.given import NOTHING, Given
from models.settings import Settings
from models.store import ArtifactStore
from results.files import sha256_of
from tests.harness.agent.test_agent import PROFILE, talk
from tests.rigs import own_onnx, own_tflite
from tests.rigs.waiting import LIMIT_S

KEY = "b" * 64
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("agent") / "agent.pyz"
    path.write_bytes(bundle.build().content)
    return path


def prepared(path: Path, given: Given = NOTHING) -> tuple[ArtifactStore, Artifact]:
    store = ArtifactStore(path.parent / "store")
    target = FileTarget(format=path.suffix[1:], path=str(path), key=KEY)
    order = FileOrder(
        store=str(store.root), model="m", settings=Settings(), given=given, only_file=True, targets=(target,)
    )
    for _ in FileImport(order, store).make(target):
        pass
    artifact = store.find(KEY)
    assert artifact is not None
    return store, artifact


def measured(agent: Path, path: Path, backend: str, model: Path | None = None, **options: Any) -> dict[str, Any]:
    """Prepare a file, run `model` in its place, and return the event that tells how its outputs are, or the last."""
    store, artifact = prepared(path)
    io, model = store.io_path(artifact), model or store.model_path(artifact)
    options = {"threads": 1, "precision": artifact.precision, **options}
    inputs = [spec.declared for spec in artifact.inputs]
    there = ModelOnDevice(PurePosixPath(model), sha256_of(model), PurePosixPath(io), artifact.io_sha256, inputs)
    events = talk(
        agent,
        {
            "protocol": 2,
            "job": "latency",
            **there.request(backend, options, Terms(LIMIT_S), LIMIT_S),
            "outputs": [asdict(rule) for rule in rules(artifact, io)],
            "profile": PROFILE,
        },
    )
    return next((event for event in events if event["event"] == "verified"), events[-1])


def changed(path: Path, name: str, change: Change) -> Path:
    """Write a copy of an ONNX file with one tensor changed."""
    model = onnx.load(str(path))
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    array = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(change(array)).astype(array.dtype), name))
    copy = path.with_name("broken.onnx")
    onnx.save(model, str(copy))
    return copy


def is_right(event: dict[str, Any]) -> bool:
    if event["event"] == "verified":
        return True
    assert (event["event"], event.get("kind")) == ("error", "wrong-output"), event
    return False


BREAKAGES: list[tuple[str, str, Change]] = [
    ("int8_network", "w1", lambda w: w[::-1]),  # channels in another order
    ("int8_network", "w1", lambda w: w[..., ::-1]),  # taps in another order
    ("int8_network", "w0", lambda w: np.where(w < 0, w + 16, w)),
    ("int8_network", "yz1", lambda z: z + 5),  # five steps off
    ("int8_network", "yz1", lambda z: z - 3),
    ("int8_network", "ws1", lambda s: s * 1.2),
    ("tiny_outputs", "w", lambda w: w[::-1]),
    ("tiny_outputs", "b2", lambda b: b + 0.5),
    ("fp16_io", "w", lambda w: w[..., ::-1]),
    ("five_d", "w", lambda w: np.roll(w, 1)),
    ("qdq_initializers", "w", lambda w: w[::-1]),
    ("qdq_initializers", "ws", lambda s: s * 1.3),
]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", sorted({name for name, _, _ in BREAKAGES}))
def test_a_sound_model_is_right(agent: Path, tmp_path: Path, name: str, backend: str) -> None:
    (path,) = own_onnx.write(tmp_path, name)
    event = measured(agent, path, backend)
    assert is_right(event)
    assert all(one["snr_db"] > 30 for one in event["outputs"])


@pytest.mark.parametrize(("name", "tensor", "change"), BREAKAGES)
def test_a_broken_model_is_wrong(agent: Path, tmp_path: Path, name: str, tensor: str, change: Change) -> None:
    (path,) = own_onnx.write(tmp_path, name)
    assert not is_right(measured(agent, path, "onnxruntime", changed(path, tensor, change)))


@pytest.mark.parametrize("name", ["t_dense", "t_full_int8", "t_int16x8", "t_dynamic_range"])
def test_misread_weights_of_a_tflite_file_are_wrong(agent: Path, tmp_path: Path, name: str) -> None:
    (path,) = own_tflite.write(tmp_path, name)
    assert is_right(measured(agent, path, "tflite"))
    builder = own_tflite.Builder(np.random.default_rng(4))  # the same graph with other weights
    own_tflite.MAKERS[name](builder)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(builder.bytes())
    assert not is_right(measured(agent, path, "tflite", broken))


@pytest.mark.parametrize("name", ["int8_network", "tiny_outputs", "places"])
def test_the_fake_backend_s_wrong_output_is_wrong(agent: Path, tmp_path: Path, name: str) -> None:
    path = places(tmp_path) if name == "places" else own_onnx.write(tmp_path, name)[0]
    assert is_right(measured(agent, path, "fake"))
    assert not is_right(measured(agent, path, "fake", fault="wrong"))


def places(folder: Path) -> Path:
    """The place of the larger one of 32 pairs of scores, of which every other is nearly a tie."""
    left = own_onnx.normal(np.random.default_rng(1), 64, 32)
    right = left * np.where(np.arange(32) % 2, np.float32(0.8), np.float32(1))
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "left"], ["l"]),
        onnx.helper.make_node("MatMul", ["x", "right"], ["r"]),
        onnx.helper.make_node("Concat", ["l", "r"], ["both"], axis=0),
        onnx.helper.make_node("ArgMax", ["both"], ["y"], axis=0),
    ]
    value, types = own_onnx.value, onnx.TensorProto
    model = own_onnx.model(
        nodes,
        [value("x", types.FLOAT, [1, 64])],
        [value("y", types.INT64, [1, 32])],
        [own_onnx.tensor("left", left), own_onnx.tensor("right", right)],
    )
    path = folder / "places.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_places_may_differ_where_scores_are_nearly_equal_and_nowhere_else(
    agent: Path, tmp_path: Path, backend: str
) -> None:
    path, ties = places(tmp_path), np.arange(32) % 2 == 0
    assert is_right(measured(agent, path, backend))
    other = changed(path, "right", lambda w: w * np.where(ties, np.float32(1 - 1e-6), np.float32(1)))
    assert is_right(measured(agent, path, backend, other))
    wrong = changed(path, "right", lambda w: w * np.where(np.arange(32) == 7, np.float32(2), np.float32(1)))
    event = measured(agent, path, backend, wrong)
    assert not is_right(event)
    assert "output 0 y: 1 of 32 integers differ" in event["message"]
