"""Taking the user's own files into the store: shapes, inputs, and the host runtime's outputs as the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.artifacts import TOLERANCES, Precision, SourceFile
from models.errors import UnreadableModel, UnusableModel
from models.export import recipe
from models.export.orders import FileOrder, FileTarget
from models.export.own import feeds, unknown
from models.export.own.feeds import Fed
from models.export.own.numbers import Numbers
from models.export.own.outputs import Runner
from models.export.own.reference import DoesNotRun, Reference, compute
from models.export.own.shapes import Declared, Resolved, Shape, resolve
from models.export.parity import OnnxRunner
from models.given import is_position
from models.store import ArtifactStore
from results.records import MAX_TEXT, InputSpec, ShapesFixed

if TYPE_CHECKING:
    from models.export.own.onnx import OwnOnnx


@dataclass
class Ready:
    """A file ready to be stored, and what was learned on the way."""

    path: Path
    declared: list[Declared]
    resolved: Resolved
    fed: list[Fed]
    numbers: Numbers
    sources: list[SourceFile]
    files: list[str] = field(default_factory=list)  # of external data, beside `path`
    shapes_fixed: ShapesFixed = "in the file"
    opset: int | None = None
    reference: Reference = field(default_factory=Reference)
    signature: str | None = None
    subgraph: int = 0
    unknown: list[str] = field(default_factory=list)  # operators, in words

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """What is fed, in the order of the inputs."""
        return [fed.array for fed in self.fed]

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs, with what was decided for the user."""
        every = zip(self.declared, self.resolved.shapes, self.fed, strict=True)
        return tuple(_input(*each, position in self.resolved.made_up) for position, each in enumerate(every))

    @property
    def is_dynamic(self) -> bool:
        """Whether the file leaves sizes of inputs open."""
        return any(entry.is_dynamic for entry in self.declared)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd, in words."""
        odd = [f"{words}: one name, several sizes" for words in self.resolved.contradictions]
        return (*odd, *self.unknown, *self.reference.notes)


class FileImport:
    """The work of one `FileOrder`."""

    def __init__(self, order: FileOrder, store: ArtifactStore) -> None:
        self.order = order
        self._store = store
        self._given = order.given.over(order.settings.given())  # what was typed is more recent than what was written

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
        resolved, fed = self._fed(path, declared)
        ready = Ready(model.gather(scratch), declared, resolved, fed, model.numbers(), model.sources, list(model.data))
        ready.opset = model.opset
        ready.shapes_fixed = "by the runtime" if ready.is_dynamic else "in the file"
        try:
            self._run(path, ready, lambda: OnnxRunner(ready.path))
        except UnusableModel:
            if not ready.is_dynamic:
                raise
            self._run_copy(path, scratch / "model.onnx", model, ready)
        if ready.reference.missing:
            ready.unknown = unknown.note(
                "operators that ONNX Runtime on this machine does not know", model.unknown_operators()
            )
        return ready

    def _run_copy(self, path: Path, copy: Path, model: OwnOnnx, ready: Ready) -> None:
        """Write the sizes into a copy, where the file itself does not run with them."""
        model.fix_shapes(ready.declared, ready.resolved)
        model.write(copy)
        ready.path, ready.shapes_fixed = copy, "in a copy"
        self._run(path, ready, lambda: OnnxRunner(copy))
        if ready.reference.outputs and model.correct_outputs(ready.reference.outputs):
            model.write(copy)

    def _read_tflite(self, path: Path) -> Ready:
        from models.export.own.tflite import OwnTflite, OwnTfliteRunner

        model = OwnTflite(path, self._given.signature)
        declared = model.declared_inputs()
        resolved, fed = self._fed(path, declared)
        ready = Ready(path, declared, resolved, fed, model.numbers(), model.sources)
        ready.shapes_fixed = "by the runtime" if ready.is_dynamic else "in the file"
        ready.signature, ready.subgraph = model.signature, model.subgraph
        self._run(path, ready, lambda: OwnTfliteRunner(model, resolved.shapes))
        if ready.reference.missing:
            ready.unknown = unknown.note("operators that are custom or of a later schema", model.unknown_operators())
        return ready

    def _fed(self, path: Path, declared: list[Declared]) -> tuple[Resolved, list[Fed]]:
        """The shape and the array of every input. Raises ModelError where what was given does not fit."""
        names, order = [entry.name for entry in declared], self.order
        if (longest := max((len(name) for name in names), default=0)) > MAX_TEXT:
            raise UnreadableModel(f"{path}: the name of an input has {longest} characters; {MAX_TEXT} are allowed")
        for name in order.settings.inputs:
            if order.only_file and name not in names and not (is_position(name) and int(name) < len(names)):
                raise UnreadableModel(
                    f"{order.settings.toml}: inputs.{name}: {path.name} has no such input; it has {', '.join(names)}"
                )
        sources = feeds.sources(path, declared, self._given, order.settings.feed_path(), order.only_file)
        shapes = [source.shape(entry) for source, entry in zip(sources, declared, strict=True)]
        given = {position: shape for position, shape in enumerate(shapes) if shape is not None}
        resolved = resolve(str(path), declared, given)
        fed = [
            source.feed(entry.name, shape, np.dtype(entry.dtype))
            for source, entry, shape in zip(sources, declared, resolved.shapes, strict=True)
        ]
        return resolved, fed

    def _run(self, path: Path, ready: Ready, load: Callable[[], Runner]) -> None:
        """Compute the reference; with zeros for made-up integers where the model does not run with ones."""
        zeros = [fed.as_zeros for fed in ready.fed]
        differs = any(fed is not before for fed, before in zip(zeros, ready.fed, strict=True))
        tried = [ready.fed, zeros] if differs else [zeros]
        refused: DoesNotRun | None = None
        for ready.fed in tried:
            try:
                ready.reference = compute(load, ready.arrays, self._precision(ready), self._given)
                break
            except DoesNotRun as exc:
                refused = refused or exc
        else:
            ready.fed = tried[0]
            words = "; ".join([*ready.resolved.contradictions, *_made_up(ready)])
            raise UnusableModel(
                f"{path}: the model cannot be run: {refused}. Check it, and the shapes and values of its inputs "
                f"(--input-shape, --input, the TOML beside it){f'; {words}' if words else ''}"
            ) from refused
        self._check_outputs(path, [spec.name for spec in ready.reference.specs])

    def _check_outputs(self, path: Path, names: list[str]) -> None:
        """Raises UnreadableModel for an output in the TOML that a file with a reference does not have."""
        for name in self.order.settings.outputs if self.order.only_file and names else ():
            if name not in names and not (is_position(name) and int(name) < len(names)):
                toml = self.order.settings.toml
                words = f"{path.name} has no such output; it has {', '.join(names)}"
                raise UnreadableModel(f"{toml}: outputs.{name}: {words}")

    def _precision(self, ready: Ready) -> Precision:
        return self.order.settings.precision or ready.numbers.precision

    def _add(self, target: FileTarget, ready: Ready) -> None:
        settings = self.order.settings
        precision, found = self._precision(ready), ready.reference
        runtime = "onnxruntime" if target.format == "onnx" else "litert"
        self._store.add(
            ready.path,
            ready.arrays,
            found.outputs,
            [(name, ready.path.parent / name) for name in ready.files],
            free=found.free,
            format=target.format,
            model=self.order.model,
            precision=precision,
            weights_precision=ready.numbers.weights_precision,
            activations_precision=ready.numbers.activations_precision,
            inputs=ready.inputs,
            shapes_fixed=ready.shapes_fixed,
            signature=ready.signature,
            subgraph=ready.subgraph,
            outputs=tuple(found.specs),
            nonfinite=found.nonfinite,
            weights="own",
            parameters=ready.numbers.parameters if settings.parameters is None else settings.parameters,
            multiply_adds=settings.multiply_adds,
            preprocessing=settings.preprocessing.facts() if settings.preprocessing else {},
            exporter=recipe.runtime_versions(target.format),
            opset=ready.opset,
            tolerance=settings.tolerance or TOLERANCES[precision],
            reference="none" if found.missing else runtime,
            reference_reason=found.missing,
            key=target.key,
            sources=tuple(ready.sources),
            notes=ready.notes,
        )


def _input(declared: Declared, shape: Shape, fed: Fed, sizes_made_up: bool) -> InputSpec:
    """An input with what was decided for the user."""
    dims = () if declared.dims is None else declared.dims
    made_up: list[Literal["values", "sizes"]] = ["values"] if fed.is_made_up else []
    return InputSpec(
        name=declared.name,
        dtype=declared.dtype,
        shape=shape,
        dims=None if dims == shape else dims,
        values=fed.values,
        scale=declared.scale if np.dtype(declared.dtype).kind in "iu" else None,
        zero_point=declared.zero_point,
        made_up=(*made_up, "sizes") if sizes_made_up else tuple(made_up),
    )


def _made_up(ready: Ready) -> list[str]:
    """The inputs that were made up, in words."""
    words = [
        f"{entry.name[:80]} ({fed.values.removeprefix('made up: ')}, {entry.dtype}{list(fed.array.shape)})"
        for entry, fed in zip(ready.declared, ready.fed, strict=True)
        if fed.is_made_up
    ]
    return [f"made up: {', '.join(words[:8])}"] if words else []
