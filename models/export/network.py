"""Exporting one PyTorch network to both formats, each checked against PyTorch and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import cost, inputs
from models.artifacts import TOLERANCES, WeightsOrigin
from models.errors import ExportFailed
from models.export import recipe
from models.export.orders import NetworkOrder, NetworkTarget
from models.export.parity import OnnxRunner, TfliteRunner, check, spec
from models.store import ArtifactStore
from results.records import Accuracy, InputSpec, OutputSpec


@dataclass(frozen=True)
class Network:
    """A module in evaluation mode with its weights in it, and what is known about it.

    `shape` is that of one image: channels, height, width. `origin` says of trained weights where they come from.
    """

    module: Any
    shape: tuple[int, int, int]
    preprocessing: dict[str, Any]
    weights: str = "random"
    origin: WeightsOrigin | None = None
    accuracy: Accuracy | None = None


@contextmanager
def one_thread() -> Iterator[None]:
    """Sum in one order: the last bits of calibrated statistics must not depend on the number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class NetworkExport:
    """The work of one order. The network is loaded when the first artifact really has to be made."""

    def __init__(self, order: NetworkOrder, store: ArtifactStore, load: Callable[[], Network]) -> None:
        self.order = order
        self._store = store
        self._load = load

    def make(self, target: NetworkTarget) -> Iterator[str]:
        """Yield the stages while they begin; at the end the artifact is in the store. Raises ModelError."""
        yield "waiting for another run"
        with self._store.lock(target.key):
            if self._store.find(target.key) is not None:
                return
            yield "building the network"
            _ = self._reference  # computed before an exporter has touched the network
            with self._store.scratch() as scratch:
                path = scratch / f"model.{target.format}"
                yield f"exporting {target.format}"
                fed = self._export(target, path)
                yield f"checking {target.format}"
                self._add(target, path, fed)

    def _export(self, target: NetworkTarget, path: Path) -> NDArray[np.float32]:
        """Write the file; return the input as the file takes it."""
        module, shape = self._network.module, (1, *self._network.shape)
        if target.format == "onnx":
            from models.export import onnx

            onnx.export(module, shape, path)
            return self._image
        from models.export import tflite

        tflite.export(module, shape, path, answers_maps=self._reference.ndim == 4)
        return tflite.channels_last(self._image)

    def _add(self, target: NetworkTarget, path: Path, fed: NDArray[np.float32]) -> None:
        network, reference = self._network, self._reference
        input_name, runner = "input", OnnxRunner(path) if target.format == "onnx" else TfliteRunner(path)
        if isinstance(runner, TfliteRunner):
            from models.export.tflite import channels_last

            input_name, reference = runner.input_specs()[0].name, channels_last(reference)
        difference = check(runner([fed])[0], reference)
        self._store.add(
            path,
            [fed],
            [reference],
            format=target.format,
            model=self.order.model,
            precision=target.precision,
            inputs=(InputSpec(**spec(input_name, fed).model_dump(), values="a synthetic image"),),
            outputs=(OutputSpec(**spec(runner.output_names[0], reference).model_dump()),),
            weights=network.weights,
            weights_origin=network.origin,
            accuracy=network.accuracy,
            resolution=network.shape[2],
            parameters=self._cost[0],
            multiply_adds=self._cost[1],
            preprocessing=network.preprocessing,
            exporter=target.versions,
            opset=18 if target.format == "onnx" else None,
            max_abs_diff=difference,
            tolerance=TOLERANCES[target.precision],
            reference="pytorch",
            key=target.key,
            recipe=target.recipe,
        )

    @cached_property
    def _network(self) -> Network:
        return self._load()

    @cached_property
    def _image(self) -> NDArray[np.float32]:
        return inputs.natural_image((1, *self._network.shape), recipe.INPUT_SEED)

    @cached_property
    def _reference(self) -> NDArray[np.float32]:
        import torch

        with torch.no_grad(), one_thread():
            output = self._network.module(torch.from_numpy(self._image))
        if not isinstance(output, torch.Tensor):
            raise ExportFailed(f"{self.order.model}: answers {type(output).__name__}, not one tensor")
        answer: NDArray[np.float32] = output.numpy()
        return answer

    @cached_property
    def _cost(self) -> tuple[int, int]:
        return cost.parameters(self._network.module), cost.multiply_adds(self._network.module, self._network.shape)
