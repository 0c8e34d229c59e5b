"""What a check of model files has found: a record for each file, from its artifact and what came of each try."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from models.artifacts import Artifact, Form
from models.errors import ModelError, UnreadableModel, UnsupportedModel, WrongInput
from models.prepare import Prepared
from results.records import FreeForm, InputSpec, Nanoseconds, OutputSpec, Record, input_keys

Status = Literal["runs", "partly", "wrong", "failed", "unsupported", "unreadable", "not installed", "busy"]


class Tried(Record):
    """One file under one runtime. `left` are the operators, with their number, that a delegate or accelerator left."""

    backend: str
    version: str | None
    status: Status
    reason: str = ""
    verified: bool = False
    max_abs_diff: float | None = None
    snr_db: float | None = None
    unverified: str = ""
    load_ns: Nanoseconds | None = None
    first_ns: Nanoseconds | None = None
    peak_rss_bytes: int | None = None
    compute: dict[str, int] = Field(default_factory=dict)
    left: dict[str, int] = Field(default_factory=dict)
    fallback: str = ""
    actual: FreeForm = Field(default_factory=dict)


class Fed(InputSpec):
    """An input, and the options to type that give what was made up of it."""

    options: tuple[str, ...] = ()


class Answered(OutputSpec):
    """An output; `rule` says how it is compared."""

    rule: Literal["float", "quantized", "exact"]


class External(Record):
    """A file of external data."""

    path: str
    size_bytes: int


class Checked(Record):
    """One model file: what it is, what a run would feed it, and what comes of it under each runtime.

    It `runs` when every runtime that reads it and is installed runs it, `partly` when one does; `reason` says why not,
    of the first that does not, or why it could not be prepared. `warnings` are about what a run would do all the same.
    """

    model: str
    path: str | None
    format: str
    status: Status
    reason: str = ""
    precision: str
    size_bytes: int | None = None
    external: tuple[External, ...] = ()
    parameters: int | None = None
    opset: int | None = None
    signature: str | None = None
    batch: int | None = None
    weights: str = ""
    activations: str = ""
    shapes_fixed: str = ""
    inputs: tuple[Fed, ...] = ()
    outputs: tuple[Answered, ...] = ()
    runtimes: tuple[Tried, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether a run would measure it under every runtime that was asked for and is there."""
        return self.status == "runs"


def bad(model: Prepared, form: Form, error: ModelError) -> Checked:
    """A file of which nothing could be prepared."""
    status: Status = "failed"
    if isinstance(error, UnreadableModel | WrongInput):
        status = "unreadable"
    elif isinstance(error, UnsupportedModel):
        status = "unsupported"
    path = _path(model, form.format)
    return Checked(
        model=model.name,
        path=None if path is None else str(path),
        format=form.format,
        status=status,
        reason=str(error),
        precision=form.precision,
        size_bytes=_size(path),
    )


def good(model: Prepared, made: Artifact, runtimes: tuple[Tried, ...]) -> Checked:
    path = _path(model, made.format)
    here = path.parent if path is not None else None
    lost = next((tried for tried in runtimes if tried.status not in ("runs", "not installed")), None)
    facts = model.facts
    return Checked(
        model=model.name,
        path=None if path is None else str(path),
        format=made.format,
        status=status_of(runtimes),
        reason=f"{lost.backend}: {lost.reason}" if lost else "",
        precision=made.precision,
        size_bytes=_size(path) if path is not None else made.size_bytes,
        external=tuple(
            External(path=source.path, size_bytes=_size(here / source.path) or 0)
            for source in made.sources
            if here is not None and here / source.path != path
        ),
        parameters=facts.parameters,
        opset=made.opset,
        signature=made.signature,
        batch=made.batch,
        weights=made.weights_precision,
        activations=made.activations_precision,
        shapes_fixed=made.shapes_fixed,
        inputs=tuple(map(_fed, input_keys(made.inputs), made.inputs)),
        outputs=tuple(Answered(**spec.model_dump(), rule=spec.kind) for spec in made.outputs),
        runtimes=runtimes,
        warnings=_warnings(made, runtimes),
    )


def status_of(runtimes: Sequence[Tried]) -> Status:
    """That of the file, by those runtimes that are there."""
    there = [tried for tried in runtimes if tried.status != "not installed"]
    lost = next((tried for tried in there if tried.status != "runs"), None)
    if lost is None:
        return "runs" if there else "not installed"
    return "partly" if any(tried.status == "runs" for tried in there) else lost.status


def _path(model: Prepared, kind: str) -> Path | None:
    files: Mapping[str, Path] = getattr(model.source, "files", {})
    return files.get(kind)


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_size
    except OSError:
        return None


def _fed(key: str, spec: InputSpec) -> Fed:
    """With the options that give what was made up."""
    options = []
    if "sizes" in spec.made_up:
        options.append(f"--input-shape {shlex.quote(key + '=' + ','.join(map(str, spec.shape)))}")
    if "values" in spec.made_up:
        examples = {"int32": "0..9", "int64": "0..9", "bool": "true"}  # of small integers they are quantized numbers
        value = examples.get(spec.dtype, "FILE.npy")
        is_image = len(spec.shape) == 4 and {spec.shape[1], spec.shape[3]} & {1, 3}
        value = "FILE.png" if is_image and spec.dtype in ("float32", "float16", "uint8", "int8") else value
        options.append(f"--input {shlex.quote(f'{key}={value}')}")
    return Fed(**spec.model_dump(), options=tuple(options))


def _warnings(made: Artifact, runtimes: Sequence[Tried]) -> tuple[str, ...]:
    """What a run goes on with, and somebody may want to know before."""
    why = made.reference_reason
    if any(tried.status in ("failed", "unsupported") for tried in runtimes):
        why = why.partition(": ")[0]  # the runtime here says it in its own line
    found = [f"its output cannot be checked: {why}"] if why else []
    found += [f"its output holds no finite numbers everywhere: {made.nonfinite}"] if made.nonfinite else []
    found += [
        f"{key}: sizes were made up"
        for key, one in zip(input_keys(made.inputs), made.inputs, strict=True)
        if "sizes" in one.made_up
    ]
    found += made.notes
    for tried in runtimes:
        if tried.status == "runs" and tried.fallback:
            found.append(f"{tried.backend}: fell back: {tried.fallback}")
    return tuple(dict.fromkeys(found))
