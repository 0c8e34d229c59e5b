"""What is there of a requested model, what is still to be made, and the job that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models.errors
from models import pretrained
from models.artifacts import FORMATS, Artifact, ArtifactStore, Form, Format, file_sha256
from models.errors import ExportFailed, ModelError, UnreadableModel
from models.export import recipe
from models.export.jobs import FileJob, FileTarget, Job, LibraryJob, NetworkTarget, ZooJob
from models.own import unchanged
from models.selection import FileRequest, LibraryRequest, Request, ZooRequest

_INSTALL = "install the exporters: pip install 'edgebench[export]'"


class Task:
    """One request on its way: what is there, what is still to be made, what went wrong."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.name = request.name
        self.artifacts: dict[Form, Artifact] = {}
        self.targets: dict[str, NetworkTarget | FileTarget] = {}  # by the key they are stored under
        self.failures: dict[Form, str] = {}
        self.without_exporter: set[Format] = set()
        self.error: ModelError | None = None

    def job(self, store: ArtifactStore) -> Job:
        """What a worker is told to make everything that is missing."""
        root, request = str(store.root), self.request
        networks = tuple(target for target in self.targets.values() if isinstance(target, NetworkTarget))
        if isinstance(request, ZooRequest):
            return ZooJob(
                store=root, model=self.name, variant=request.variant.name, weights=request.weights, targets=networks
            )
        if isinstance(request, LibraryRequest):
            return LibraryJob(
                store=root,
                model=self.name,
                library=request.library,
                network=request.network,
                resolution=request.resolution,
                weights=request.weights,
                targets=networks,
            )
        return FileJob(
            store=root,
            model=self.name,
            settings=request.settings,
            input_shapes=request.input_shapes,
            only_file=len(request.files) == 1,
            targets=tuple(target for target in self.targets.values() if isinstance(target, FileTarget)),
        )

    def failed(self, form: Form, error: str, message: str) -> None:
        """An export that failed is a failure of this format; anything else is an error of the whole call."""
        if not isinstance(self.request, FileRequest) and error == ExportFailed.__name__:
            self.failures[form] = message
            return
        found = getattr(models.errors, error, ModelError)
        self.error = self.error or found(message)
        self.failures[form] = message

    def raise_if_unusable(self) -> None:
        """Raises what went wrong, or ExportFailed when there is no artifact for want of the exporters."""
        if self.error is not None:
            raise self.error
        if not self.artifacts and self.without_exporter:
            raise ExportFailed(f"{self.name}: not in the store and PyTorch's exporters are missing; {_INSTALL}")


def plan(request: Request, store: ArtifactStore) -> Task:
    """Look up what there is. Raises ModelError when a package is missing that the rest would be made with."""
    task = Task(request)
    if isinstance(request, FileRequest):
        _plan_files(task, request, store)
        return task
    for kind in FORMATS:
        if isinstance(request, ZooRequest):
            trained = pretrained.sha256(request.variant.name) if request.weights == "imagenet" else None
            _plan_network(task, kind, recipe.zoo_recipe(kind, request.variant, trained), {}, store)
        else:
            what = recipe.library_recipe(kind, request.library, request.network, request.weights, request.resolution)
            _plan_network(task, kind, what, recipe.library_versions(request.library), store)
    if task.targets and isinstance(request, ZooRequest) and request.weights == "imagenet":
        pretrained.require(request.variant.name)
    if not task.artifacts and isinstance(request, LibraryRequest) and not recipe.library_versions(request.library):
        raise ModelError(f"{request.name}: {request.library} is not installed; pip install {request.library}")
    return task


def _plan_network(task: Task, kind: Format, what: str, library: Mapping[str, str] | None, store: ArtifactStore) -> None:
    """Without the exporters, or without the library, an artifact that another machine has made will do."""
    exporters = recipe.exporter_versions(kind)
    if exporters is None or library is None:
        found = store.find_recipe(what)
        if found is None:
            task.without_exporter.add(kind)
            lacking = f"the exporters of {kind} are not installed here; {_INSTALL}"
            task.failures[Form(kind, "fp32")] = lacking if exporters is None else "its library is not installed here"
            return
        task.artifacts[found.form] = found
        return
    versions = {**exporters, **library}
    key = recipe.network_key(what, versions)
    found = store.find(key)
    if found is not None:
        task.artifacts[found.form] = found
    else:
        task.targets[key] = NetworkTarget(format=kind, key=key, recipe=what, versions=versions)


def _plan_files(task: Task, request: FileRequest, store: ArtifactStore) -> None:
    for kind, path in request.files.items():
        key = recipe.own_key(kind, _own_facts(request, path))
        found = store.find(key)
        if found is not None and unchanged(found, path.parent):
            task.artifacts[found.form] = found
        else:
            precision = request.settings.precision
            task.targets[key] = FileTarget(format=kind, precision=precision, path=str(path), key=key)


def _own_facts(request: FileRequest, path: Path) -> dict[str, Any]:
    """What an own artifact depends on, besides what reads it. External data is checked by the record's `sources`."""
    feed = request.settings.feed_path()
    try:
        return {
            "name": request.name,
            "file": file_sha256(path),
            "shapes": {name: list(shape) for name, shape in request.input_shapes.items()},
            # The accuracy is not in the artifact, and where the TOML lies does not matter.
            "settings": request.settings.model_dump(mode="json", exclude={"accuracy", "toml"}),
            "feed": file_sha256(feed) if feed else None,
            "only_file": len(request.files) == 1,
        }
    except OSError as exc:
        raise UnreadableModel(f"{exc.filename or path}: cannot be read ({exc.strerror})") from exc
