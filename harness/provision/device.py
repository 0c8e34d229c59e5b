"""Setting a device up, over any transport and without internet on the device: probe, push what is missing, try it.

Everything lies below one root folder and is named by its content, so that a second set-up pushes nothing and a damaged
file is pushed again. The environment's file is written last, after the runtimes were imported there; where it is there
already and every file is whole, they are not imported again.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from harness.errors import AgentError, ProvisionError, TransportError
from harness.jobs import setup as jobs
from harness.jobs.base import Event, Job
from harness.link import bundle, folder
from harness.link.agent import AgentOnDevice
from harness.link.setup_record import Setup
from harness.provision import interpreter, wheels
from harness.provision.interpreter import Runtime
from harness.transports import Transport

# Names under which a device's own Python is looked for, the likeliest to have wheels first.
CANDIDATES = ("python3", *(f"python{version}" for version in reversed(wheels.PYTHONS)), "python")

# package -> the module whose import proves that it works; others are named like their package
_MODULES = {"ai-edge-litert": "ai_edge_litert.interpreter", "tflite-runtime": "tflite_runtime.interpreter"}

_QUICK_S, _SLOW_S = 60.0, 900.0
_MAX_ANSWER = 1 << 20
_SPARE_BYTES = 32 << 20

E = TypeVar("E", bound=Event)

# Gets the commands that start a Python there, so that by one of them the device can be held for this host.
Reserve = Callable[[Iterable[Sequence[str]]], None]

# Tells the machine, the Pythons that were brought and those on the PATH, and the free space; runs in the smallest of
# shells.
_LOOK = """
root=$1; shift
echo "folder=$PWD"
echo "machine=$(uname -m)"
for name in "$root"/runtime/*/python/bin/python3.*; do
  [ -f "$name" ] && echo "brought=$name"
done
for name in "$@"; do
  found=$(command -v "$name" 2>/dev/null) && echo "python=$found"
done
while [ ! -d "$root" ] && [ "$root" != / ]; do root=$(dirname "$root"); done
df -k "$root" 2>/dev/null | tail -n 1 | while read -r a b c d e; do echo "free_kib=$d"; done
"""

# Unpacks the interpreter beside its final place and moves it there.
_UNPACK = """
set -e
pack=$1; folder=$2
rm -rf "$folder" "$folder.part"
mkdir -p "$folder.part"
tar -xzf "$pack" -C "$folder.part"
mv "$folder.part" "$folder"
rm -f "$pack"
"""


@dataclass
class Outcome:
    """What a set-up did: the Python, versions by backend, what was pushed, what is missing and why."""

    python: str
    machine: str
    own_python: bool
    versions: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    pushed_bytes: int = 0


@dataclass(frozen=True)
class _Python:
    """A Python on the device that wheels can be had for."""

    command: tuple[str, ...]
    version: str
    fits: wheels.Interpreter
    free_bytes: int
    runtime: Runtime | None = None


class Provisioner:
    """One device in the hands of `bench devices setup`.

    `root` is a folder there, relative to the one that commands start in or absolute; `cache` is a folder here, `inside`
    one here around the device's.
    """

    def __init__(
        self,
        transport: Transport,
        root: PurePosixPath,
        cache: Path,
        say: Callable[[str], None] = lambda _: None,
        reserve: Reserve = lambda _: None,
        inside: Path | None = None,
    ) -> None:
        if len(root.parts) < (3 if root.is_absolute() else 1) or ".." in root.parts:
            raise ProvisionError(f"{root} cannot be a device's folder: it must be one of its own, below another one")
        self.transport = transport
        self.folder = self.root = root
        self.cache = cache
        self.say = say
        self.reserve = reserve
        self.inside = inside
        self._agent: tuple[PurePosixPath, str] | None = None

    def find_pythons(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the commands of the Pythons there, whether they work or not: brought ones, then those of these names.

        Raises ProvisionError, TransportError.
        """
        said = self._look(names)
        loader = interpreter.loader_of(said["machine"][0])
        brought = []
        for name in said.get("brought", []) if loader else []:
            program = PurePosixPath(said.get("folder", ["/"])[0]) / name
            library = str(program.parents[2] / "lib")
            brought.append((f"{library}/{loader}", "--library-path", library, str(program)))
        return [*brought, *((found,) for found in said.get("python", []))]

    def setup(
        self,
        backend_names: Sequence[str],
        *,
        pythons: Sequence[str] = CANDIDATES,
        archive: Path | None = None,
        afresh: bool = False,
    ) -> tuple[Outcome, Setup]:
        """Bring the device to the state in which the agent has these backends there.

        `pythons` are the names to look for; none means that the device gets an interpreter. Raises ProvisionError,
        TransportError.
        """
        outcome = Outcome(python="", machine="", own_python=True)
        python = self._find_python(pythons, outcome) or self._bring_python(outcome, archive)
        self.reserve([python.command])
        outcome.python, outcome.machine = python.fits.python, python.fits.machine
        choice = wheels.WheelCache(self.cache, self.say).choose(python.fits, backend_names, afresh=afresh)
        outcome.problems += choice.problems
        names = [wheel.sha256 for wheel in choice.wheels]
        runtimes = [python.runtime.sha256] if python.runtime else []
        content = json.dumps([python.version, runtimes, names]).encode()
        environment = f"{hashlib.sha256(content).hexdigest()[:16]}.json"
        tried = self._push_wheels(python, choice.wheels, environment, outcome)
        if outcome.pushed or set(tried) != set(choice.runtimes):
            for backend, package in choice.runtimes.items():
                self._try(python, backend, package, names, outcome)
            if not outcome.versions:
                raise ProvisionError("; ".join(outcome.problems))
            self.reserve([python.command])
            self._ask(python.command, jobs.activate(self.root, environment, names, runtimes, outcome.versions))
        else:
            outcome.versions = dict(tried)
        setup = Setup(
            folder=str(self.folder),
            command=list(python.command),
            site=str(self.root / "env" / environment),
            at=time.strftime("%Y-%m-%d %H:%M"),
            python=python.version,
            own_python=outcome.own_python,
            versions=dict(outcome.versions),
            wheels={wheel.name: wheel.sha256 for wheel in choice.wheels},
            chosen=wheels.note_name(python.fits, backend_names),
        )
        return outcome, setup

    def _find_python(self, pythons: Sequence[str], outcome: Outcome) -> _Python | None:
        """Return the device's own Python that wheels can be had for."""
        for found in self._look(pythons).get("python", []):
            try:
                told = self._ask((found,), jobs.describe(self.root))
            except ProvisionError as exc:
                outcome.problems.append(f"{found} does not work there: {exc}")
                continue
            fits, reason = _fits(told)
            if fits:
                return _Python((found,), told.python, fits, told.free_bytes)
            outcome.problems.append(f"{found}: {reason}")
        return None

    def _look(self, pythons: Sequence[str]) -> dict[str, list[str]]:
        folder.claim(self.transport, self.folder, self.inside)
        command = ["sh", "-c", _LOOK, "sh", str(self.root), *pythons]
        done = self.transport.run(command, timeout_s=_QUICK_S)
        said: dict[str, list[str]] = {}
        for line in done.stdout[:_MAX_ANSWER].decode("utf-8", "replace").splitlines():
            key, equals, value = line.strip().partition("=")
            if equals and value and value not in said.setdefault(key, []):
                said[key].append(value)
        if "machine" not in said:
            raise ProvisionError(f"the device has no shell that answers: {done.last_words or 'it said nothing'}")
        self.root = PurePosixPath(said.get("folder", ["/"])[0]) / self.folder
        return said

    def _bring_python(self, outcome: Outcome, archive: Path | None) -> _Python:
        """Put interpreter and C library on a device that has none."""
        outcome.own_python = False
        said = self._look(())
        machine = said["machine"][0]
        cache = self.cache / "interpreters"
        runtime = interpreter.build(cache, machine, archive=archive, say=self.say)
        fits = wheels.Interpreter(machine, runtime.python, runtime.glibc)
        place = self.root / "runtime" / runtime.sha256
        command = tuple(runtime.command(place))
        if not self._is_whole(command, runtime):
            pack = self.root / "packs" / runtime.file_name
            free_kib = said.get("free_kib", [""])[0]
            if free_kib.isdigit():
                self._check_space(int(free_kib) * 1024, runtime.unpacked_bytes + 2 * _SPARE_BYTES)
            self._push(cache / runtime.file_name, pack, f"Python {runtime.python}", outcome)
            done = self.transport.run(["sh", "-c", _UNPACK, "sh", str(pack), str(place)], timeout_s=_SLOW_S)
            if done.exit_code != 0:
                raise ProvisionError(
                    f"the interpreter cannot be unpacked there: {done.last_words or 'it said nothing'}"
                )
            if not self._is_whole(command, runtime):
                raise ProvisionError("the interpreter was pushed, but does not start there or is damaged")
        told = self._ask(command, jobs.describe(self.root))
        return _Python(command, told.python, fits, told.free_bytes, runtime)

    def _is_whole(self, command: tuple[str, ...], runtime: Runtime) -> bool:
        try:
            return bool(self._ask(command, jobs.verify(self.root, [f"runtime/{runtime.sha256}"])).whole)
        except (ProvisionError, TransportError):
            return False

    def _push_wheels(
        self, python: _Python, wanted: Sequence[wheels.Wheel], environment: str, outcome: Outcome
    ) -> dict[str, str]:
        """Push and unpack the wheels that the device lacks or that are no longer as they were.

        Returns the versions that were imported there when this environment was set up before.
        """
        folders = {f"wheels/{wheel.sha256}": wheel for wheel in wanted}
        told = self._ask(python.command, jobs.verify(self.root, list(folders), environment))
        missing = [wheel for name, wheel in folders.items() if name not in told.whole]
        if not missing:
            return told.versions
        self._check_space(python.free_bytes, sum(_unpacked_bytes(wheel.path) for wheel in missing))
        for wheel in missing:
            target = self.root / "packs" / f"{wheel.sha256}.whl"
            self._push(wheel.path, target, f"{wheel.name} {wheel.version}", outcome, wheel.sha256)
        self.say("unpacking")
        self._ask(python.command, jobs.unpack(self.root, [wheel.sha256 for wheel in missing]))
        return {}

    def _push(
        self, source: Path, target: PurePosixPath, what: str, outcome: Outcome, sha256: str | None = None
    ) -> None:
        size = source.stat().st_size
        self.say(f"pushing {what} ({size / 1e6:.0f} MB)")
        self.transport.push(source, target, sha256)
        outcome.pushed.append(what)
        outcome.pushed_bytes += size

    def _check_space(self, free: int, needed: int) -> None:
        if free < needed + _SPARE_BYTES:
            raise ProvisionError(
                f"{self.root} has {free / 1e6:.0f} MB left, {(needed + _SPARE_BYTES) / 1e6:.0f} MB are needed; "
                "free some, or choose fewer runtimes with --backends"
            )

    def _try(self, python: _Python, backend: str, package: str, names: list[str], outcome: Outcome) -> None:
        """Import one runtime there, in a process of its own."""
        module = _MODULES.get(package, package.replace("-", "_"))
        self.say(f"trying {package}")
        try:
            told = self._ask(python.command, jobs.try_import(self.root, names, module, package))
        except ProvisionError as exc:
            outcome.problems.append(f"{backend}: {package} is there but cannot be imported: {exc}")
            return
        outcome.versions[backend] = f"{package} {told.version}"

    def _ask(self, command: Sequence[str], job: Job[E]) -> E:
        """Have the agent do one step of a set-up by a Python there. Raises ProvisionError for what it says."""
        if self._agent is None:
            self._agent = bundle.push(self.transport, self.root, self.cache.parent / "agent")
        path, sha256 = self._agent
        agent = AgentOnDevice(self.transport, [*command, "-I", str(path)], sha256, _QUICK_S)
        try:
            return agent.carry_out(job)
        except AgentError as exc:
            raise ProvisionError(str(exc)[:400]) from exc


def _fits(told: jobs.Described) -> tuple[wheels.Interpreter | None, str]:
    """Return what wheels for a Python on the device must fit, or why none can be had."""
    version = ".".join(told.python.split(".")[:2])
    machine = told.machine
    if told.bits == 32:  # a 32-bit system under a 64-bit kernel
        machine = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(machine, machine)
    if told.implementation != "CPython":
        return None, f"{told.implementation} instead of CPython"
    if version not in wheels.PYTHONS:
        return None, f"Python {version}, runtimes need {wheels.PYTHONS[0]} to {wheels.PYTHONS[-1]}"
    if machine not in wheels.MACHINES:
        return None, f"no runtime has wheels for {machine}"
    name, _, release = told.libc.partition(" ")
    if name != "glibc" or not release.startswith("2.") or not release[2:].split(".")[0].isdigit():
        return None, "its C library is not glibc, which the runtimes' wheels need"
    return wheels.Interpreter(machine, version, int(release[2:].split(".")[0])), ""


def _unpacked_bytes(wheel: Path) -> int:
    """Return what a wheel needs on the device while it is unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        return wheel.stat().st_size + sum(member.file_size for member in archive.infolist())
