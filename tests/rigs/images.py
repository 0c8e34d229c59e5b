"""Prepared images for the tiny models, what a bare runtime makes of them, and the agent's request for them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.jobs.accuracy import Accuracy, Chunk, Feed
from harness.jobs.latency import Target
from harness.jobs.model import ModelOnDevice
from models.artifacts import Artifact
from models.store import ArtifactStore
from results.records import Case, InputSpec, OutputSpec
from tests.rigs.bench import DATA, SHAPES, tiny_pair

SIZE, CLASSES = 64, 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def table() -> NDArray[np.float32]:
    """What a byte becomes in each channel, (256, 3)."""
    bytes_ = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    scaled: NDArray[np.float32] = (bytes_ - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)
    return scaled


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 64, 64, 3), of few colors each, so that predictions differ."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(colors, 8, axis=1), 8, axis=2)


def written(folder: Path, pixels: NDArray[np.uint8], size: int) -> list[Chunk]:
    """The images as chunks of that many in files."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for first in range(0, len(pixels), size):
        content = io.BytesIO()
        np.save(content, pixels[first : first + size])
        sha256 = hashlib.sha256(content.getvalue()).hexdigest()
        path = folder / f"{sha256}.npy"
        path.write_bytes(content.getvalue())
        found.append(Chunk(PurePosixPath(path), sha256, first, len(pixels[first : first + size])))
    return found


def on_this_machine(store: ArtifactStore, artifact: Artifact) -> ModelOnDevice:
    """A stored model as one on a device."""
    return ModelOnDevice(
        model=PurePosixPath(store.model_path(artifact)),
        model_sha256=artifact.sha256,
        io=PurePosixPath(store.io_path(artifact)),
        io_sha256=artifact.io_sha256,
        inputs=[spec.declared for spec in artifact.inputs],
    )


def job(model: ModelOnDevice, chunks: list[Chunk], backend: str, kind: str = "onnx", **changes: Any) -> Accuracy:
    """Evaluate all samples of these chunks."""
    case = Case(
        case_id="0" * 16,
        device="box",
        model="tiny",
        backend=backend,
        precision="fp32",
        threads=1,
        artifact_sha256="0" * 64,
        artifact_format=kind,
    )
    fields: dict[str, Any] = {
        "feed": Feed(table(), 0, CLASSES),
        "dataset": "d" * 64,
        "chunks": chunks,
        "first": 0,
        "count": sum(chunk.count for chunk in chunks),
        **changes,
    }
    return Accuracy(Target(case, model), **fields)


def bare(kind: str, path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What ONNX Runtime or TFLite computes of the images one by one, without anything of ours, (count, classes)."""
    normalized = ((pixels.astype(np.float32) / np.float32(255)) - np.float32(MEAN)) / np.float32(STD)
    if kind == "onnx":
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = 1
        session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        planar = np.ascontiguousarray(normalized.transpose(0, 3, 1, 2))
        return np.concatenate([session.run(None, {"input": image[None]})[0] for image in planar])
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=1)
    runner.allocate_tensors()
    outputs = []
    for image in normalized:
        runner.set_tensor(runner.get_input_details()[0]["index"], image[None])
        runner.invoke()
        outputs.append(runner.get_tensor(runner.get_output_details()[0]["index"]))
    return np.concatenate(outputs)


def add_rated(store: ArtifactStore, kind: str, **changes: Any) -> Artifact:
    """Put the tiny model into a store as one of the user's own that is trained, with its preprocessing."""
    given, expected = tiny_pair(kind)
    return store.add(
        DATA / f"tiny.{kind}",
        [given],
        [expected],
        **{
            "format": kind,
            "model": "tiny",
            "precision": "fp32",
            "inputs": (InputSpec(name="input", dtype="float32", shape=SHAPES[kind]),),
            "outputs": (OutputSpec(name="output", dtype="float32", shape=(1, CLASSES)),),
            "weights": "own",
            "tolerance": 1e-3,
            "reference": "pytorch",
            "key": "b" * 64,
            "preprocessing": {"crop": SIZE, "rule": "none", "resize": None, "mean": MEAN, "std": STD},
            **changes,
        },
    )


def written_set(path: Path, count: int) -> Path:
    """A data set in a file, of which the tiny model gets a part right: it always says 6."""
    labels = np.where(np.arange(count) % 3 == 0, 6, np.arange(count) % CLASSES)
    np.savez(path, images=images(count), labels=labels, classes=np.array([f"class {name}" for name in range(CLASSES)]))
    return path
