"""A fleet of any size and models that nobody made, for what is planned without measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.fleet.devices import Device
from harness.run import start
from harness.run.plan import PROFILES, BackendChoice
from harness.run.runner import Run
from harness.run.start import RunRequest
from harness.run.task import DeviceTask, Manners
from harness.workspace import Workspace
from models.artifacts import FORMATS, Artifact, Form, Format
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from tests.rigs.bench import add_tiny

BACKENDS = ("onnxruntime", "tflite")


def fleet(count: int) -> list[Device]:
    """Return devices that are none."""
    return [Device(name=f"board-{number}", transport="simulated") for number in range(count)]


def prepared(template: Artifact, count: int) -> list[Prepared]:
    """Return models with an artifact in each format, all made up."""

    def artifact(number: int, kind: Format) -> Artifact:
        digest = f"{FORMATS.index(kind):x}{number:063x}"
        return template.model_copy(update={"sha256": digest, "format": kind, "model": f"net-{number}"})

    return [
        Prepared(OwnModel(f"net-{number}", {}), {Form(kind, "fp32"): artifact(number, kind) for kind in FORMATS})
        for number in range(count)
    ]


def planned(
    workspace: Workspace, devices: Sequence[Device], models: Sequence[Prepared]
) -> tuple[Run, list[DeviceTask]]:
    """Begin a run of these models on these devices under two backends: journal and tasks, but nothing measured."""
    backends = [BackendChoice(name) for name in BACKENDS]
    request = RunRequest(devices=devices, models=(), backends=backends, profile=PROFILES["standard"], seed=1)
    run, artifacts = start.begin(request, models, workspace, Manners())
    return run, run.tasks(devices, artifacts)


def template(folder: Path) -> Artifact:
    """Return a real artifact to make others of."""
    return add_tiny(ArtifactStore(folder), "onnx")
