"""Which wheels a device needs, and fetching them on the host into the workspace, by content.

What was chosen once for a kind of device is written down, so that the next set-up takes the same versions and asks no
registry. Chosen are the newest versions with a wheel for the device's machine, Python and C library.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

import backends
from harness.errors import ProvisionError
from results.files import sha256_of, write_file

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64", "armv7l")

# What runtimes declare but do not import to run a model: it would double what travels.
UNUSED = frozenset(
    (
        "coloredlogs",
        "flatbuffers",
        "humanfriendly",
        "mpmath",
        "openvino-telemetry",
        "packaging",
        "protobuf",
        "sympy",
        "tqdm",
    )
)

# What a wheel needs and does not say.
UNSAID = {"tflite-runtime": ("numpy<2",)}

_FETCH_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Interpreter:
    """What wheels must fit: the machine's name as wheels spell it, Python as "3.11", the minor version of glibc 2."""

    machine: str
    python: str
    glibc: int

    @property
    def platforms(self) -> list[str]:
        """The platform tags that run there, the newest first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 4, -1)]
        old = {"manylinux2014": 17}
        if self.machine == "x86_64":
            old |= {"manylinux2010": 12, "manylinux1": 5}
        return tags + [f"{name}_{self.machine}" for name, minor in old.items() if self.glibc >= minor]

    @property
    def environment(self) -> dict[str, str]:
        """The values of the markers in a wheel's requirements."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": self.machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    sha256: str
    path: Path


@dataclass(frozen=True)
class WheelSet:
    """The wheels for a device; `runtimes` is backend -> package, `problems` says what there is no wheel for."""

    wheels: tuple[Wheel, ...]
    runtimes: dict[str, str]
    problems: tuple[str, ...]


class WheelCache:
    """The workspace's wheels: wheels/<sha256>/<file name>, and chosen/<key>.json for what was chosen."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.say = say

    def choose(self, target: Interpreter, backend_names: Sequence[str], *, afresh: bool = False) -> WheelSet:
        """Return the wheels for the backends there, from the cache when they were chosen before.

        `afresh` asks for the newest versions again. Raises ProvisionError when not one runtime has a wheel there.
        """
        note = self.folder / "chosen" / note_name(target, backend_names)
        known = None if afresh else self._read(note)
        if known:
            return known
        chosen = _Choosing(self, target).choose(backend_names)
        if not chosen.runtimes:
            raise ProvisionError("; ".join(chosen.problems))
        wheels = [
            {"name": w.name, "version": w.version, "sha256": w.sha256, "file": w.path.name} for w in chosen.wheels
        ]
        content = {"wheels": wheels, "runtimes": chosen.runtimes, "problems": chosen.problems}
        write_file(note, json.dumps(content, indent=1).encode())
        return chosen

    def _read(self, note: Path) -> WheelSet | None:
        """Return what was chosen before, None when it was not or a wheel of it is no longer there as it was."""
        try:
            content = json.loads(note.read_bytes())
            wheels = tuple(
                Wheel(entry["name"], entry["version"], entry["sha256"], self.path(entry["sha256"], entry["file"]))
                for entry in content["wheels"]
            )
            if any(sha256_of(wheel.path) != wheel.sha256 for wheel in wheels):
                return None
            return WheelSet(wheels, content["runtimes"], tuple(content["problems"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def path(self, sha256: str, name: str) -> Path:
        return self.folder / "wheels" / sha256 / name

    def fetch(self, target: Interpreter, requirement: str) -> Wheel | None:
        """Return the newest wheel that fits, None when there is none.

        Raises ProvisionError when pip does not work, or the wheel cannot be kept.
        """
        self.say(f"fetching {requirement} for Python {target.python} on {target.machine}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".fetch-") as scratch:
                done = _pip(target, requirement, scratch)
                files = list(Path(scratch).glob("*.whl"))
                if not files:
                    _explain(done, requirement)
                    return None
                (file,) = files
                sha256 = sha256_of(file)
                kept = self.path(sha256, file.name)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(file, kept)
        except OSError as exc:
            raise ProvisionError(f"{self.folder} on this machine cannot be written: {exc.strerror or exc}") from exc
        name, version, _, _ = parse_wheel_filename(kept.name)
        return Wheel(str(name), str(version), sha256, kept)


def note_name(target: Interpreter, backend_names: Sequence[str]) -> str:
    """Return the name of the note with what was chosen for a kind of device and these backends."""
    key = json.dumps([asdict(target), sorted(backend_names)], sort_keys=True)
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def chosen(folder: Path, note: str) -> dict[str, tuple[str, str]]:
    """Return name -> version and hash of the wheels in a note, none when it is gone."""
    try:
        entries = json.loads((folder / "chosen" / note).read_bytes())["wheels"]
        return {str(entry["name"]): (str(entry["version"]), str(entry["sha256"])) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class _Choosing:
    """One choice in the making. Requirements on a package add up, so numpy is fetched after those who want it."""

    def __init__(self, cache: WheelCache, target: Interpreter) -> None:
        self.cache = cache
        self.target = target
        self.wheels: dict[str, Wheel] = {}
        self.wanted: dict[str, list[str]] = {"numpy": []}
        self.problems: list[str] = []

    def choose(self, backend_names: Iterable[str]) -> WheelSet:
        runtimes = {}
        for backend in backend_names:
            packages = backends.find(backend).packages
            package = next((name for name in packages if self._add(name)), None)
            if package:
                runtimes[backend] = package
            else:
                self.problems.append(f"{backend}: {self._no_wheel(' or '.join(packages))}")
        while todo := [name for name in self.wanted if name not in self.wheels]:
            for name in sorted(todo, key="numpy".__eq__):  # numpy last
                if not self._add(name):
                    self.problems.append(f"{self._no_wheel(name)}; the device's own is used where it has one")
                    del self.wanted[name]
        wheels = sorted(self.wheels.values(), key=lambda wheel: wheel.name)
        return WheelSet(tuple(wheels), runtimes, tuple(self.problems))

    def _no_wheel(self, name: str) -> str:
        target = self.target
        return f"no wheel of {name} for Python {target.python} on {target.machine} with glibc 2.{target.glibc}"

    def _add(self, name: str) -> bool:
        """Fetch a package and note what it requires; False when there is no wheel of it."""
        wheel = self.cache.fetch(self.target, name + ",".join(sorted(set(self.wanted.get(name, ())))))
        if wheel is None:
            return False
        self.wheels[name] = wheel
        unsaid = [Requirement(line) for line in UNSAID.get(name, ())]
        for requirement in (*requirements(wheel.path, self.target), *unsaid):
            needed = canonicalize_name(requirement.name)
            if needed not in UNUSED:
                self.wanted.setdefault(needed, []).extend(str(part) for part in requirement.specifier)
        return True


def requirements(wheel: Path, target: Interpreter) -> list[Requirement]:
    """Return what a wheel requires on the device."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1]
        metadata = BytesParser().parsebytes(archive.read(name), headersonly=True)
    found = [Requirement(line) for line in metadata.get_all("Requires-Dist") or ()]
    return [one for one in found if one.marker is None or one.marker.evaluate(target.environment)]


def _pip(target: Interpreter, requirement: str, folder: str) -> subprocess.CompletedProcess[str]:
    abi = "cp" + target.python.replace(".", "")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", folder, "--python-version", target.python, "--implementation", "cp"]
    for tag in (abi, "abi3", "none"):
        command += ["--abi", tag]
    for platform in target.platforms:
        command += ["--platform", platform]
    try:
        return subprocess.run(
            [*command, requirement], capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ProvisionError(f"pip cannot fetch {requirement}: {exc}") from exc


def _explain(done: subprocess.CompletedProcess[str], requirement: str) -> None:
    """Return when pip found no wheel; raise ProvisionError when it failed for another reason."""
    if "No matching distribution" in done.stderr and "connection" not in done.stderr.lower():
        return
    said = [line for line in done.stderr.strip().splitlines() if line.strip()][-1:] or ["it said nothing"]
    raise ProvisionError(f"pip cannot fetch {requirement} for the device: {said[0][:300]}")
