"""Files in other precisions that were asked for: what is there of them, and what is to be made of which fp32 file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from models.artifacts import Artifact, Form
from models.errors import ExportFailed, ModelError, UnsupportedModel
from models.export.orders import DerivedTarget, NetworkTarget
from models.export.precision.calibration import CalibrationSource, of_dataset
from models.export.precision.methods import METHODS
from models.export.recipe import network_key
from models.sources.base import INSTALL, Prepared
from models.store import ArtifactStore


@dataclass(frozen=True)
class Wanted:
    """Which forms are wanted of every model besides what it is there as, and what to calibrate them with.

    `calibration` is what was asked for; without it networks of random weights see synthetic images.
    """

    forms: tuple[Form, ...] = ()
    calibration: CalibrationSource | None = None


NOTHING = Wanted()


def add(prepared: Prepared, wanted: Wanted, store: ArtifactStore) -> None:
    """Add what is there of the wanted forms, what is to be made, and why something cannot be.

    A file is made of the model's fp32 file of the same format; where there is none of it, nothing is added.
    """
    for form in wanted.forms:
        base = _base(prepared, form)
        if form in prepared.artifacts or base is None:
            continue
        if isinstance(base, ModelError):
            prepared.errors[form] = base
            continue
        try:
            found = _found_or_target(prepared, form, base, wanted, store)
        except ModelError as exc:
            prepared.errors[form] = exc
            continue
        if isinstance(found, DerivedTarget):
            prepared.targets.append(found)
        else:
            prepared.artifacts[form] = found


def failure_of_base(prepared: Prepared, form: Form) -> ModelError | None:
    """Why there is no fp32 file to make a form of, where one was to be made."""
    base = _base(prepared, form)
    return base if isinstance(base, ModelError) else None


class _Base(NamedTuple):
    """The fp32 file that others are made of: its key, and what it is made from as far as that is known."""

    key: str
    recipe: str


def _base(prepared: Prepared, form: Form) -> _Base | ModelError | None:
    """The fp32 file of the form's format, or why there is none."""
    for known, artifact in prepared.artifacts.items():
        if known == Form(form.format, "fp32"):
            return _Base(artifact.key, artifact.recipe or artifact.key)
    for target in prepared.targets:
        if target.form in (Form(form.format, "fp32"), Form(form.format, "unknown")):
            return _Base(target.key, target.recipe if isinstance(target, NetworkTarget) else target.key)
    errors = [error for known, error in prepared.errors.items() if (known.format, known.method) == (form.format, "")]
    return errors[0] if errors else None


def _found_or_target(
    prepared: Prepared, form: Form, base: _Base, wanted: Wanted, store: ArtifactStore
) -> Artifact | DerivedTarget:
    """Without the quantizers a file that another machine has made will do. Raises ModelError where it cannot be had."""
    method = METHODS[form]
    calibration = _calibration(prepared, wanted) if method.is_calibrated else CalibrationSource()
    recipe = method.recipe(base.recipe, form, calibration.identity)
    versions = method.versions()
    if versions is None:
        if found := store.find_recipe(recipe):
            return found
        packages = ", ".join(method.packages)
        raise ExportFailed(f"{prepared.name}: {form.precision} of {form.format} needs {packages}; {INSTALL}")
    # Of two exporters' files of one recipe each has its own.
    key = network_key(recipe, {**versions, "base": base.key})
    return store.find(key) or DerivedTarget(
        **form._asdict(),
        key=key,
        recipe=recipe,
        versions=versions,
        base=base.key,
        calibration=calibration,
    )


def _calibration(prepared: Prepared, wanted: Wanted) -> CalibrationSource:
    """Raises UnsupportedModel for a model of the user's, about which nothing is known."""
    if wanted.calibration is not None:
        return wanted.calibration
    if prepared.source.weights == "own":
        raise UnsupportedModel(
            f"{prepared.name}: to quantize a model of your own, say with which images: --calibration DATASET"
        )
    trained_on = prepared.source.trained_on
    return of_dataset(trained_on) if trained_on else CalibrationSource()
