"""Making files in other precisions from fp32 files in the store, and finding out what that costs. Runs in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models import comparison
from models.artifacts import TOLERANCES, Artifact
from models.errors import ExportFailed
from models.export.orders import DerivedOrder, DerivedTarget
from models.export.precision import calibration, quality
from models.export.precision.methods import METHODS
from models.export.precision.work import Work
from models.store import ArtifactStore
from results.judge import accuracy
from results.records import Calibration, OutputSpec, Quality


class Derivation:
    """The work of one `DerivedOrder`."""

    def __init__(self, order: DerivedOrder, store: ArtifactStore) -> None:
        self.order = order
        self._store = store

    def make(self, target: DerivedTarget) -> Iterator[str]:
        """Yield the stages while they begin; at the end the artifact is in the store. Raises ModelError."""
        yield "waiting for another run"
        with self._store.lock(target.key):
            if self._store.find(target.key) is not None:
                return
            base = self._store.find(target.base)
            if base is None:
                raise ExportFailed(f"{self.order.model}: the fp32 file that it is made of could not be made")
            calibration.check(base)
            method = METHODS[target.form]
            with self._store.scratch() as scratch:
                yield "gathering calibration data"
                seen, probes = calibration.gather(base, target.calibration)
                work = Work(self._store.model_path(base), scratch / f"model.{target.format}", base.inputs[0].name)
                work.calibration = seen if method.is_calibrated else ()
                for stage in method.make(work):
                    yield f"{target.precision}: {stage}"
                yield f"{target.precision}: comparing with fp32"
                self._add(target, base, work, probes)

    def _add(self, target: DerivedTarget, base: Artifact, work: Work, probes: calibration.Arrays) -> None:
        runtime = METHODS[target.form].runtime
        exact, run = quality.runner(work.source, runtime), quality.runner(work.target, runtime)
        found = _quality(exact, run, probes, runtime)
        with np.load(self._store.io_path(base), allow_pickle=False) as pair:
            fed = [pair[f"in{index}"] for index in range(len(base.inputs))]
            expected = [pair[f"out{index}"] for index in range(len(base.outputs))]
            free = {index: pair[f"free{index}"] for index in range(len(expected)) if f"free{index}" in pair.files}
        answers = run(fed)
        outputs = tuple(
            _limited(spec, accuracy.snr_db(reference, answer), target)
            for spec, reference, answer in zip(base.outputs, expected, answers, strict=False)  # no reference: none
        )
        kept = {"sha256", "size_bytes", "file", "files", "model_sha256", "io_sha256", "created_at"}
        weights, activations = _types(work.target)
        used = METHODS[target.form].is_calibrated
        self._store.add(
            work.target,
            fed,
            expected,
            free=free,
            **base.model_dump(exclude=kept | set(_CHANGED)),
            precision=target.precision,
            method=target.method,
            weights_precision=weights,
            activations_precision=activations,
            outputs=outputs,
            calibration=_calibration(target, work) if used else None,
            quality=found,
            exporter={**base.exporter, **target.versions},
            max_abs_diff=None,
            tolerance=TOLERANCES[target.precision],
            key=target.key,
            recipe=target.recipe,
            notes=(*base.notes, *work.notes),
        )


# What an artifact does not take over from the fp32 file it is made of.
_CHANGED = (
    "precision",
    "method",
    "weights_precision",
    "activations_precision",
    "outputs",
    "calibration",
    "quality",
    "exporter",
    "max_abs_diff",
    "tolerance",
    "key",
    "recipe",
    "notes",
)


def _calibration(target: DerivedTarget, work: Work) -> Calibration:
    return Calibration(
        name=target.calibration.name, sha256=calibration.sha256(work.calibration), samples=len(work.calibration)
    )


def _quality(exact: quality.Run, run: quality.Run, probes: calibration.Arrays, runtime: str) -> Quality:
    """Over all outputs: the least ratio, the least agreement. Raises ExportFailed for other shapes than fp32's."""
    pairs = list(zip(quality.outputs(exact, probes), quality.outputs(run, probes), strict=True))
    if any(one.shape != other.shape for one, other in pairs):
        raise ExportFailed("the file that was made answers other shapes than the fp32 file")
    agreements = [found for pair in pairs if (found := quality.top1_agreement(*pair)) is not None]
    return Quality(
        runtime=runtime,
        samples=len(probes),
        snr_db=min(accuracy.snr_db(*pair) for pair in pairs),
        top1_agreement=min(agreements, default=None),
    )


def _limited(spec: OutputSpec, snr_db: float, target: DerivedTarget) -> OutputSpec:
    least = comparison.least_snr_db(snr_db, target.precision)
    return spec.model_copy(update={"tolerance": None, "least_snr_db": least})


def _types(path: Path) -> tuple[str, str]:
    """In which types the file holds its weights and passes numbers on, as its graph says."""
    if path.suffix == ".onnx":
        from models.export.own.onnx import OwnOnnx

        found = OwnOnnx(path).numbers()
    else:
        from models.export.own.tflite import OwnTflite

        found = OwnTflite(path).numbers()
    return found.weights_precision, found.activations_precision
