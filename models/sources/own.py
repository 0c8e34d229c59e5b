"""The user's own model files, and the TOML beside them. Nothing here parses a model; that is done in a worker."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from models.artifacts import FORMATS, Artifact, Format
from models.errors import (
    ExportFailed,
    MissingShape,
    ModelError,
    UnreadableModel,
    UnsupportedModel,
    UnusableModel,
    WrongInput,
)
from models.export import recipe
from models.export.orders import FileOrder, FileTarget, Order, Target
from models.given import NOTHING, Given
from models.settings import Settings, read_settings
from models.sources.base import Prepared, Source, Weights
from models.store import ArtifactStore
from results.files import sha256_of
from results.records import ModelFacts

SUFFIXES: dict[str, Format] = {f".{name}": name for name in FORMATS}
# What a serialized ModelProto can start with: the tags of its fields.
_ONNX_TAGS = (0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA)


@dataclass(frozen=True)
class OwnModel(Source):
    """The user's own model: one file, or the same model in two formats.

    `faults` say what keeps a file, or with the TOML all of them, from being read.
    """

    label: str
    files: Mapping[Format, Path]
    settings: Settings = field(default_factory=Settings)
    given: Given = NOTHING
    faults: Mapping[Format, UnreadableModel] = field(default_factory=dict)
    rank: ClassVar[int] = 0  # takes seconds
    costs_one_file: ClassVar[tuple[type[ModelError], ...]] = (
        UnusableModel,
        UnsupportedModel,
        UnreadableModel,
        MissingShape,
        WrongInput,
        ExportFailed,
    )

    @property
    def name(self) -> str:
        """The TOML's name or the file's, with as many folders as tell it apart."""
        return self.label

    @property
    def weights(self) -> str:
        """Whatever is in the file."""
        return "own"

    @property
    def stem(self) -> Path:
        """The path that its files share, without the suffix."""
        return next(iter(self.files.values())).with_suffix("")

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that the files lie in."""
        return self.stem.parent.parts

    @property
    def fault(self) -> UnreadableModel | None:
        """The first fault, where no file is without one."""
        return None if self.files.keys() - self.faults.keys() else next(iter(self.faults.values()))

    def renamed(self, name: str) -> OwnModel:
        """The same files under another name."""
        return replace(self, label=name)

    def weighted(self, weights: Weights) -> OwnModel:
        """Whatever is in the file."""
        return self

    def beside(self, other: OwnModel) -> OwnModel:
        """The same model with the file of another format as well."""
        return replace(self, files={**self.files, **other.files}, faults={**self.faults, **other.faults})

    def look_up(self, store: ArtifactStore) -> Prepared:
        """A file that cannot be read is left out."""
        prepared = Prepared(self)
        for kind, path in self.files.items():
            target = FileTarget(format=kind, precision=self.settings.precision, path=str(path), key="")
            try:
                if kind in self.faults:
                    raise self.faults[kind]
                target = target.model_copy(update={"key": recipe.own_key(kind, self._depends_on(path))})
            except UnreadableModel as exc:
                prepared.errors[target.form] = exc
                continue
            found = store.find(target.key)
            if found is not None and found.is_made_of(path.parent):
                prepared.artifacts[found.form] = found
            else:
                prepared.targets.append(target)
        return prepared

    def _depends_on(self, path: Path) -> dict[str, Any]:
        """What an artifact depends on, besides what reads it. External data is checked by the record's `sources`."""
        feed = self.settings.feed_path()
        given = self.given.over(self.settings.given())
        try:
            return {
                "name": self.name,
                "file": sha256_of(path),
                # The accuracy is not in the artifact, and where a TOML or a file of values lies does not matter.
                "settings": self._settings(),
                "given": given.located({path: f"{path.name} {sha256_of(path)}" for path in given.files()}),
                "feed": sha256_of(feed) if feed else None,
                "only_file": len(self.files) == 1,
            }
        except OSError as exc:
            raise UnreadableModel(f"{exc.filename or path}: cannot be read ({exc.strerror})") from exc

    def _settings(self) -> dict[str, Any]:
        """What the TOML says, apart from what is said elsewhere, and from what it could not say once and does not."""
        left_out = {"accuracy", "toml", "inputs", "signature"}
        unsaid = set() if self.settings.preprocessing else {"preprocessing"}
        return self.settings.model_dump(mode="json", exclude=left_out | unsaid)

    def order(self, store: ArtifactStore, targets: Sequence[Target]) -> Order:
        """Both files at once: what is said about inputs may concern either."""
        return FileOrder(
            store=str(store.root),
            model=self.name,
            settings=self.settings,
            given=self.given,
            only_file=len(self.files) == 1,
            targets=tuple(target for target in targets if isinstance(target, FileTarget)),
        )

    def facts(self, made: Artifact | None) -> ModelFacts:
        """With the accuracies that the TOML states."""
        reference, threshold = self.settings.reference
        stated = {"accuracies": self.settings.accuracies, "reference": reference, "threshold": threshold}
        return super().facts(made).model_copy(update=stated)


def from_file(path: Path, given: Given = NOTHING) -> OwnModel:
    """The model of one file. What was mistyped, like a file that is not there, raises UnreadableModel."""
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        hint = f"it holds {', '.join(inside[:5])}" if inside else "no .onnx or .tflite file is in it"
        raise UnreadableModel(f"{path}: this is a folder; name a model file ({hint})")
    if not path.exists():
        raise UnreadableModel(f"{path}: no such file{_nearest(path)}")
    if path.suffix.lower() not in SUFFIXES:
        raise UnreadableModel(f"{path}: only .onnx and .tflite files can be measured; export the model to one of them")
    kind, settings = SUFFIXES[path.suffix.lower()], Settings()
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - a link keeps its own name and the TOML beside it
    faults: dict[Format, UnreadableModel] = {}
    try:
        _check_start(path)
        toml = absolute.with_suffix(".toml")
        settings = read_settings(toml) if toml.exists() else settings
    except UnreadableModel as exc:
        faults[kind] = exc
    return OwnModel(settings.name or _in_utf8(path.stem), {kind: absolute}, settings, given, faults)


def _check_start(path: Path) -> None:
    """Raises UnreadableModel for a file that does not start as its suffix promises."""
    if not path.is_file():
        raise UnreadableModel(f"{path}: a pipe or a device, not a file; copy the model to a file")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as exc:
        raise UnreadableModel(f"{path}: cannot be read ({exc.strerror})") from exc
    if not start:
        raise UnreadableModel(f"{path}: the file is empty; export or copy it again")
    is_tflite = start[4:8] == b"TFL3"
    if path.suffix.lower() == ".tflite" and not is_tflite:
        raise UnreadableModel(f"{path}: not a TFLite file (it lacks the mark TFL3); export or copy it again")
    if path.suffix.lower() == ".onnx" and (is_tflite or start[0] not in _ONNX_TAGS):
        raise UnreadableModel(f"{path}: not an ONNX file; export or copy it again")
    if _in_utf8(str(path)) != str(path):
        raise UnreadableModel(f"{str(path)!r}: the name is not UTF-8, or the locale is not; change one")


def _in_utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}, either"
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5) or names[:3]
    return f"; in {folder} there is {', '.join(near)}" if near else f"; {folder} holds no .onnx or .tflite file"
