"""Taking the user's own files into the store: shapes, inputs, and the host runtime's outputs as the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from models.artifacts import TOLERANCES, Precision, SourceFile
from models.errors import UnreadableModel, UnusableModel
from models.export import recipe
from models.export.orders import FileOrder, FileTarget
from models.export.own import feeds, reference
from models.export.own.reference import Runner
from models.export.own.shapes import Declared, Resolved, resolve
from models.export.parity import OnnxRunner, TfliteRunner, spec
from models.store import ArtifactStore
from results.records import MAX_TEXT, InputSpec, OutputSpec, TensorSpec


@dataclass
class Ready:
    """A file ready to be stored, and what was learned on the way."""

    path: Path
    inputs: list[InputSpec]
    parameters: int
    precision: Precision
    sources: list[SourceFile]
    opset: int | None = None
    notes: list[str] = field(default_factory=list)
    fed: list[NDArray[Any]] = field(default_factory=list)
    made_up: list[TensorSpec] = field(default_factory=list)  # of the inputs
    outputs: list[NDArray[Any]] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    no_reference: str = ""


class FileImport:
    """The work of one `FileOrder`."""

    def __init__(self, order: FileOrder, store: ArtifactStore) -> None:
        self.order = order
        self._store = store
        self._given = order.given.over(order.settings.given())  # what was typed is more recent than what was written
        self._shapes = {name: entry.shape for name, entry in self._given.inputs.items() if entry.shape is not None}

    def make(self, target: FileTarget) -> Iterator[str]:
        """Yield the stages while they begin; at the end the artifact is in the store. Raises ModelError."""
        path = Path(target.path)
        yield "waiting for another run"
        with self._store.lock(target.key):
            found = self._store.find(target.key)
            if found is not None and found.is_made_of(path.parent):
                return
            with self._store.scratch() as scratch:
                yield f"reading {target.format}"
                ready = self._read_onnx(path, scratch) if target.format == "onnx" else self._read_tflite(path)
                yield f"storing {target.format}"
                self._add(target, ready)

    def _read_onnx(self, path: Path, scratch: Path) -> Ready:
        from models.export.own.onnx import OwnOnnx

        model = OwnOnnx(path)
        declared = model.declared_inputs()
        resolved = self._resolve(path, declared)
        model.fix_shapes(declared, resolved)
        file = path
        if model.changed:
            file = scratch / "model.onnx"
            model.write(file)
        ready = self._ready(file, declared, resolved, *model.weights(), model.sources)
        ready.opset, ready.output_names = model.opset, model.output_names()
        self._run(path, ready, lambda: OnnxRunner(file))
        if model.changed and ready.outputs and model.correct_outputs(ready.outputs):
            model.write(file)
        return ready

    def _read_tflite(self, path: Path) -> Ready:
        from models.export.own.tflite import OwnTflite

        model = OwnTflite(path)
        declared = model.declared_inputs()
        resolved = self._resolve(path, declared)
        ready = self._ready(path, declared, resolved, *model.weights(), model.sources)
        shapes = [entry.shape for entry in ready.inputs]
        # Its own kernels: a reference from the very kernels that are measured would prove little.
        self._run(path, ready, lambda: TfliteRunner(path, shapes, delegate=False))
        return ready

    def _resolve(self, path: Path, declared: list[Declared]) -> Resolved:
        names = [entry.name for entry in declared]
        if (longest := max((len(name) for name in names), default=0)) > MAX_TEXT:
            raise UnreadableModel(f"{path}: the name of an input has {longest} characters; {MAX_TEXT} are allowed")
        for name in self.order.settings.inputs:
            if name not in names and self.order.only_file:
                raise UnreadableModel(
                    f"{self.order.settings.toml}: inputs.{name}: {path.name} has no such input; "
                    f"it has {', '.join(names)}"
                )
        return resolve(str(path), declared, {name: self._shapes[name] for name in names if name in self._shapes})

    def _ready(
        self,
        file: Path,
        declared: list[Declared],
        resolved: Resolved,
        parameters: int,
        precision: Precision,
        sources: list[SourceFile],
    ) -> Ready:
        inputs = [
            InputSpec(name=entry.name, dtype=entry.dtype, shape=resolved.shapes[entry.name]) for entry in declared
        ]
        fed, made_up = feeds.values(inputs, self.order.settings.feed_path(), self.order.only_file)
        return Ready(file, inputs, parameters, precision, sources, notes=resolved.notes, fed=fed, made_up=made_up)

    def _run(self, path: Path, ready: Ready, load: Callable[[], Runner]) -> None:
        try:
            found = reference.compute(load, ready.fed)
        except reference.DoesNotRun as exc:
            raise UnusableModel(
                f"{path}: the model cannot be run: {exc}. Check it, and the shapes and values of its "
                f"inputs (--input-shape; feed in the TOML beside it){_told(ready)}"
            ) from exc
        ready.no_reference, ready.outputs = found.missing, found.outputs
        if found.names:
            ready.output_names = found.names

    def _add(self, target: FileTarget, ready: Ready) -> None:
        settings = self.order.settings
        precision = settings.precision or ready.precision
        runtime = "onnxruntime" if target.format == "onnx" else "litert"
        self._store.add(
            ready.path,
            ready.fed,
            ready.outputs,
            format=target.format,
            model=self.order.model,
            precision=precision,
            inputs=tuple(ready.inputs),
            outputs=tuple(
                OutputSpec(**spec(name[:MAX_TEXT], array).model_dump())
                for name, array in zip(ready.output_names, ready.outputs, strict=False)
            ),
            weights="own",
            parameters=ready.parameters if settings.parameters is None else settings.parameters,
            multiply_adds=settings.multiply_adds,
            exporter=recipe.runtime_versions(target.format),
            opset=ready.opset,
            tolerance=settings.tolerance or TOLERANCES[precision],
            reference="none" if ready.no_reference else runtime,
            reference_reason=ready.no_reference,
            key=target.key,
            sources=tuple(ready.sources),
            notes=tuple(ready.notes),
        )


def _told(ready: Ready) -> str:
    """The inputs that were made up, in words."""
    words = []
    for one, array in zip(ready.inputs, ready.fed, strict=True):
        if one in ready.made_up:
            kind = "noise" if array.dtype.kind == "f" or (array != 1).any() else "ones"
            words.append(f"{one.name[:80]} ({kind}, {one.dtype}{list(one.shape)})")
    return f"; made up: {', '.join(words[:8])}" if words else ""
