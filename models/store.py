"""The artifact store: model files named by their SHA-256, each with a record and a reference input/output pair.

    <root>/<sha256>/model.onnx | model.tflite     the file that is pushed to a device
    <root>/<sha256>/<path>                        its external data, if it has any, each under its relative path
    <root>/<sha256>/io-<sha256 of it>.npz         arrays in0, in1 … and out0, out1 …: the check before timing;
                                                  free0, free1 …: masks of what is not compared
    <root>/keys/<key>.json                        what it was made from -> its `Artifact` record, written last
    <root>/locks/<key>                            held while the artifact of that key is being made
    <root>/partial/                               files being written; nothing there is ever read

A folder's name is the hash of the model file or, with external data, of the list of all files with their hashes.
One file can belong to several records: the same bytes may be checked with another input, or go by another name.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.artifacts import Artifact, SourceFile
from models.errors import DamagedArtifact, ModelError
from results.files import copy_file, sha256_of

MAX_RECORD_BYTES = 4 * 2**20
_LEFTOVER_S = 60  # a folder in partial/ that is older, and that nobody holds, belongs to a process that was killed

log = logging.getLogger(__name__)


class ArtifactStore:
    """Artifacts under one folder, shared safely by any number of processes on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._partial = self.root / "partial"

    def model_path(self, artifact: Artifact) -> Path:
        """Where the artifact's model file lies."""
        return self.root / artifact.sha256 / f"model.{artifact.format}"

    def io_path(self, artifact: Artifact) -> Path:
        """Where the artifact's reference pair lies."""
        return self.root / artifact.sha256 / f"io-{artifact.io_sha256}.npz"

    def find(self, key: str) -> Artifact | None:
        """The intact artifact made from `key`; a damaged one is reported, forgotten and counts as not there."""
        path = self._record_path(key)
        try:
            artifact = self._read(path)
            self._verify(artifact)
        except FileNotFoundError:
            return None
        except DamagedArtifact as exc:
            log.warning("%s; it is made again", exc)
            with suppress(OSError):
                path.unlink()
            return None
        return artifact

    def all(self) -> list[Artifact]:
        """Every readable record, oldest first. Files are not verified; `find` does that."""
        found = []
        for path in sorted((self.root / "keys").glob("*.json")):
            try:
                found.append(self._read(path))
            except FileNotFoundError:
                continue  # another process has just found it damaged
            except DamagedArtifact as exc:
                log.warning("%s; ignored", exc)
        return sorted(found, key=lambda artifact: artifact.created_at)

    def find_recipe(self, recipe: str) -> Artifact | None:
        """The latest intact artifact of a recipe, by whatever version of the exporters it was made."""
        for artifact in reversed(self.all()):
            if artifact.recipe == recipe and self.find(artifact.key) is not None:
                return artifact
        return None

    def contents(self, artifact: Artifact) -> list[tuple[Path, str]]:
        """Every file of the artifact with its hash, the model file first."""
        data = [(self.data_path(artifact, file.path), file.sha256) for file in artifact.files]
        model = (self.model_path(artifact), artifact.file_sha256)
        return [model, *data, (self.io_path(artifact), artifact.io_sha256)]

    def data_path(self, artifact: Artifact, path: str) -> Path:
        """Where a file of the artifact's external data lies."""
        return self.root / artifact.sha256 / path

    def add(
        self,
        file: Path,
        fed: Sequence[NDArray[Any]],
        expected: Sequence[NDArray[Any]],
        data: Sequence[tuple[str, Path]] = (),
        free: Mapping[int, NDArray[Any]] | None = None,
        **fields: Any,
    ) -> Artifact:
        """Copy `file` and its reference pair (inputs as `fed`, outputs as `expected`) into the store.

        `data` are files of external data with their relative paths. What lies in `scratch` is moved, not copied.
        `free` are masks of elements of outputs that are not compared, by the position of the output.
        `fields` are those of `Artifact` that do not follow from the files. Raises ModelError when nothing can be
        written (the disk is full, say); then no file is left under a final name.
        """
        with self._writing() as partial:
            model, io, beside = partial / "model", partial / "io.npz", partial / "data"
            self._take(file, model)
            for name, source in data:
                self._take(source, beside / name)
            pairs = [(f"in{i}", array) for i, array in enumerate(fed)]
            pairs += [(f"out{i}", array) for i, array in enumerate(expected)]
            pairs += [(f"free{i}", array) for i, array in (free or {}).items()]
            with io.open("wb") as stream:
                np.savez(stream, allow_pickle=False, **dict(pairs))
            model_sha256 = sha256_of(model)
            files = tuple(SourceFile(path=name, sha256=sha256_of(beside / name)) for name, _ in data)
            sha256 = _together(model_sha256, files) if files else model_sha256
            artifact = Artifact(
                sha256=sha256,
                file=f"{sha256}/model.{fields['format']}",
                size_bytes=sum(path.stat().st_size for path in (model, *(beside / name for name, _ in data))),
                files=files,
                model_sha256=model_sha256 if files else None,
                io_sha256=sha256_of(io),
                created_at=datetime.now(UTC).isoformat(timespec="microseconds"),
                **fields,
            )
            record = partial / "artifact.json"
            record.write_text(artifact.model_dump_json(indent=1) + "\n", encoding="utf-8")
            moves = [(beside / name, self.data_path(artifact, name)) for name, _ in data]
            moves += [(model, self.model_path(artifact)), (io, self.io_path(artifact))]
            for path in (*(source for source, _ in moves), record):
                _sync(path)
            keys = self.root / "keys"
            keys.mkdir(exist_ok=True)
            for source, target in moves:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
            for folder in {target.parent for _, target in moves}:
                _sync(folder)
            record.replace(self._record_path(artifact.key))
            _sync(keys)
        return artifact

    def _take(self, source: Path, target: Path) -> None:
        if source.is_relative_to(self._partial):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        else:
            copy_file(source, target)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the lock of `key` across processes: who comes second waits, then finds what the first has made."""
        with _errors_at(self.root):
            folder = self.root / "locks"
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder / _checked(key), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # this also releases the lock

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of one's own on the store's file system, removed at the end."""
        with self._writing(full_only=True) as partial:
            yield partial

    def _record_path(self, key: str) -> Path:
        return self.root / "keys" / f"{_checked(key)}.json"

    def _read(self, path: Path) -> Artifact:
        """Raises FileNotFoundError, or DamagedArtifact for a record that is not what was once written."""
        try:
            with path.open("rb") as file:
                text = file.read(MAX_RECORD_BYTES + 1)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise DamagedArtifact(f"{path}: cannot be read ({exc.strerror})") from exc
        if len(text) > MAX_RECORD_BYTES:
            raise DamagedArtifact(f"{path}: larger than any record ({MAX_RECORD_BYTES} bytes)")
        try:
            artifact = Artifact.model_validate_json(text)
        except ValidationError as exc:
            raise DamagedArtifact(f"{path}: damaged record ({exc.error_count()} errors)") from exc
        if artifact.key != path.stem:
            raise DamagedArtifact(f"{path}: holds the record of another key")
        return artifact

    def _verify(self, artifact: Artifact) -> None:
        if any(PurePosixPath(file.path).is_absolute() or ".." in file.path for file in artifact.files):
            raise DamagedArtifact(f"artifact of {artifact.model}: its record names a file elsewhere")
        if artifact.files and artifact.sha256 != _together(artifact.file_sha256, artifact.files):
            raise DamagedArtifact(f"artifact of {artifact.model}: its record names other files than its hash")
        for path, expected in self.contents(artifact):
            try:
                actual = sha256_of(path)
            except OSError as exc:
                raise DamagedArtifact(f"artifact of {artifact.model}: {path}: {exc.strerror}") from exc
            if actual != expected:
                raise DamagedArtifact(f"artifact of {artifact.model}: {path} is damaged (its hash is {actual[:12]}…)")

    @contextmanager
    def _writing(self, full_only: bool = False) -> Iterator[Path]:
        with _errors_at(self.root):
            self._partial.mkdir(parents=True, exist_ok=True)
            self._sweep()
            folder = Path(tempfile.mkdtemp(dir=self._partial))
            held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            with _errors_at(self.root, full_only):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)

    def _sweep(self) -> None:
        for leftover in self._partial.iterdir():
            with suppress(OSError):  # not ours, or another process sweeps, too
                if time.time() - leftover.stat().st_mtime > _LEFTOVER_S:
                    self._sweep_one(leftover)

    @staticmethod
    def _sweep_one(leftover: Path) -> None:
        descriptor = os.open(leftover, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        finally:
            os.close(descriptor)


def _together(model_sha256: str, files: Sequence[SourceFile]) -> str:
    """The hash that names a model file with its external data."""
    return hashlib.sha256(
        "\n".join([model_sha256, *(f"{file.sha256} {file.path}" for file in files)]).encode()
    ).hexdigest()


def _checked(key: str) -> str:
    """Keys become file names, so nothing but a hash may pass."""
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise ValueError(f"not a key: {key!r}")
    return key


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors_at(root: Path, full_only: bool = False) -> Iterator[None]:
    """Map what the file system says to ModelError; with `full_only`, a full disk alone."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"{root}: no space left to store an artifact; free some or move the workspace") from exc
        if full_only:
            raise
        raise ModelError(f"{root}: cannot write the artifact store ({exc.strerror or exc})") from exc
