"""A tiny network that segments, pairs of images and masks for it, and what a bare runtime makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.rigs.images import MEAN, SIZE, STD, images

CLASSES = 3


def network(path: Path, *, channels_last: bool = False, size: int = SIZE) -> None:
    """A network whose score of each class is the color of a channel at that pixel."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", ["input"], ["planes"])]
    shape = [1, CLASSES, size, size]
    if channels_last:
        nodes.append(helper.make_node("Transpose", ["planes"], ["output"], perm=[0, 2, 3, 1]))
        shape = [1, size, size, CLASSES]
    else:
        nodes.append(helper.make_node("Identity", ["planes"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def written_pairs(folder: Path, count: int) -> Path:
    """Pictures and masks of the classes 0 to 2 in a folder; a tenth of the pixels does not count."""
    from PIL import Image

    random = np.random.default_rng(7)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index, pixels in enumerate(images(count)):
        mask = np.where(
            random.random((SIZE, SIZE)) < 0.7, pixels.argmax(axis=2), random.integers(0, CLASSES, (SIZE, SIZE))
        )
        mask[random.random((SIZE, SIZE)) < 0.1] = 255
        Image.fromarray(pixels).save(folder / "images" / f"{index:03}.png")
        Image.fromarray(mask.astype(np.uint8)).save(folder / "masks" / f"{index:03}.png")
    return folder


def bare_mean_iou(path: Path, folder: Path) -> float:
    """Of ONNX Runtime's maps of the pictures in a folder, by sets of pixels, without anything of ours."""
    import onnxruntime as ort
    from PIL import Image

    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    truth: list[NDArray[np.uint8]] = []
    named: list[NDArray[np.int64]] = []
    for picture in sorted((folder / "images").iterdir()):
        pixels = np.asarray(Image.open(picture), np.float32) / np.float32(255)
        planar = ((pixels - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)[None]
        (scores,) = session.run(None, {"input": np.ascontiguousarray(planar)})
        named.append(scores[0].argmax(axis=0))
        truth.append(np.asarray(Image.open(folder / "masks" / picture.name)))
    true, name = np.stack(truth), np.stack(named)
    counted = true != 255
    shares = []
    for label in range(CLASSES):
        both, either = (true == label) & (name == label) & counted, ((true == label) | (name == label)) & counted
        shares.append(both.sum() / either.sum())
    return float(np.mean(shares))
