"""The interpreter and C library for a device that has no Python of its own: one .tar.gz, by content.

They come from the packages of the Debian or Ubuntu that this host runs, for the device's architecture, fetched into a
private apt root and unpacked in memory: nothing is installed. An interpreter can also come from an archive that the
user names (python-build-standalone's `install_only`); its C library still comes from apt.

    lib/             the loader, glibc, and the libraries of the packages
    python/          bin/pythonX.Y, lib/pythonX.Y
    *.dist-info/     RECORD, in the form a wheel has it: every file with its hash

The program is started as LOADER --library-path lib python/bin/pythonX.Y, so that nothing of the device's own is used.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import posixpath
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.errors import ProvisionError
from results.errors import ResultsError
from results.files import sha256_of, write_file


class _Architecture(NamedTuple):
    """A machine as Debian calls it, its folder of libraries, the loader's name, its number in a program's header."""

    debian: str
    triplet: str
    loader: str
    elf: int


# by uname -m
_ARCHITECTURES = {
    "aarch64": _Architecture("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1", 183),
    "x86_64": _Architecture("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2", 62),
    "armv7l": _Architecture("armhf", "arm-linux-gnueabihf", "ld-linux-armhf.so.3", 40),
}
_LIBRARIES = ("libc6", "libstdc++6", "libgomp1", "zlib1g")
_INTERPRETER = ("python3-minimal", "libpython3-stdlib")

# Parts of a Python that nothing on a device needs.
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|site-packages|config-[^/]*)/"
    r"|\.a$|/_sysconfigdata[^/]*\.json$"
)
_APT_TIMEOUT_S = 600.0

# A real archive holds some thousand files and 100 to 400 MB.
_MAX_UNPACKED_BYTES = 1 << 30
_MAX_MEMBERS = 100_000


@dataclass(frozen=True)
class Runtime:
    """A packed interpreter; `loader` and `program` are paths in it, `glibc` the minor version of glibc 2."""

    sha256: str
    python: str
    glibc: int
    loader: str
    program: str
    unpacked_bytes: int

    @property
    def file_name(self) -> str:
        return f"{self.sha256}.tar.gz"

    def command(self, folder: PurePosixPath) -> list[str]:
        """Return how its Python is started where it was unpacked into `folder`."""
        return [str(folder / self.loader), "--library-path", str(folder / "lib"), str(folder / self.program)]


def loader_of(machine: str) -> str | None:
    """Return the name of the loader for a machine, None for one that no interpreter can be brought for."""
    return _ARCHITECTURES[machine].loader if machine in _ARCHITECTURES else None


class Tree:
    """Files and links of tar archives, read into memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}

    def add(self, archive: tarfile.TarFile, members: Iterable[tarfile.TarInfo] | None = None) -> None:
        """Take in an archive's files, all or some of them."""
        for member in members or archive:
            name = posixpath.normpath(member.name)
            if member.isfile() and (source := archive.extractfile(member)):
                self.files[name] = source.read()
            elif member.issym():
                self.links[name] = posixpath.normpath(posixpath.join("/", posixpath.dirname(name), member.linkname))[1:]
            elif member.islnk():
                self.links[name] = posixpath.normpath(member.linkname)

    def read(self, name: str) -> bytes | None:
        """Return a file's content through links, None for what is not there."""
        for _ in range(8):
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return None

    def names(self) -> set[str]:
        return {*self.files, *self.links}


def build(
    folder: Path, machine: str, *, archive: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Runtime:
    """Return the packed interpreter for a machine, from the cache `folder` when it was made before.

    `archive` names a cpython `install_only` archive. Raises ProvisionError when it cannot be had.
    """
    if machine not in _ARCHITECTURES:
        raise ProvisionError(
            f"there is no Python on the device, and none can be brought for {machine}; there is one for: "
            f"{', '.join(_ARCHITECTURES)}"
        )
    origin = _hash(archive)[:16] if archive else "packages"
    note = folder / f"{machine}-{origin}.json"
    try:
        runtime = Runtime(**json.loads(note.read_bytes()))
        if sha256_of(folder / runtime.file_name) == runtime.sha256:
            return runtime
    except (OSError, ValueError, TypeError):
        pass
    interpreter = _from_archive(archive, machine) if archive else {}
    say(f"fetching the C library{'' if archive else ' and Python'} for {machine}")
    tree, glibc = _packages(machine, _LIBRARIES if archive else (*_LIBRARIES, *_INTERPRETER))
    files = {**_libraries(tree, machine), **(interpreter or _from_packages(tree, machine))}
    content, runtime = _pack(files, machine, glibc)
    try:
        write_file(folder / runtime.file_name, content)
        write_file(note, json.dumps(asdict(runtime)).encode())
    except ResultsError as exc:
        raise ProvisionError(str(exc)) from exc
    return runtime


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as exc:
        raise ProvisionError(f"{path} cannot be read: {exc.strerror}") from exc


def _packages(machine: str, names: tuple[str, ...]) -> tuple[Tree, int]:
    """Return the files of packages and of all they depend on, and glibc's minor version."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ProvisionError(
                f"there is no Python on the device, and bringing one needs {tool} of Debian or Ubuntu on this host; "
                "install Python 3.8 or newer on the device, or set it up from such a host"
            )
    with tempfile.TemporaryDirectory(prefix="edgebench-apt-") as folder:
        debs = _download(Path(folder), _ARCHITECTURES[machine].debian, names)
        tree = Tree()
        for deb in debs:
            done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, timeout=_APT_TIMEOUT_S)
            if done.returncode:
                raise ProvisionError(f"{deb.name} cannot be unpacked: {done.stderr.decode(errors='replace')[:300]}")
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
                tree.add(archive)
        versions = [int(found[1]) for deb in debs if (found := re.match(r"libc6_2\.(\d+)", deb.name))]
    return tree, versions[0]


def _download(root: Path, architecture: str, names: tuple[str, ...]) -> list[Path]:
    """Fetch packages with an apt that knows nothing but the host's sources and keys."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (root / part).mkdir(parents=True)
    (root / "status").touch()
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Dir::State": str(root / "state"),
        "Dir::State::status": str(root / "status"),
        "Dir::Cache": str(root / "cache"),
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    try:
        update = subprocess.run([*apt, "update"], capture_output=True, text=True, timeout=_APT_TIMEOUT_S)
        install = [*apt, "--yes", "--no-install-recommends", "--download-only", "install", *names]
        done = subprocess.run(install, capture_output=True, text=True, timeout=_APT_TIMEOUT_S)
    except subprocess.TimeoutExpired as exc:
        raise ProvisionError(f"apt-get did not end within {_APT_TIMEOUT_S:.0f} s") from exc
    debs = sorted((root / "cache" / "archives").glob("*.deb"))
    if done.returncode or not any(deb.name.startswith("libc6_") for deb in debs):
        said = (done.stderr.strip() or update.stderr.strip()).splitlines()[-3:]
        raise ProvisionError(
            f"apt-get cannot fetch Python and the C library for {architecture} from this host's package sources: "
            f"{' '.join(said)[:400]}"
        )
    return debs


def _libraries(tree: Tree, machine: str) -> dict[str, bytes]:
    """Return lib/ with every shared library under the name programs ask for, and the loader."""
    _, triplet, loader, _ = _ARCHITECTURES[machine]
    folders = {f"{prefix}lib/{triplet}" for prefix in ("", "usr/")}
    names = [name for name in tree.names() if posixpath.dirname(name) in folders and ".so" in posixpath.basename(name)]
    targets = {tree.links[name] for name in names if name in tree.links}
    wanted = [name for name in names if name not in targets]
    wanted += [name for name in tree.names() if posixpath.basename(name) == loader]
    files = {f"lib/{posixpath.basename(name)}": content for name in wanted if (content := tree.read(name))}
    if f"lib/{loader}" not in files:
        raise ProvisionError(f"the packages for {machine} hold no {loader}")
    return files


def _from_packages(tree: Tree, machine: str) -> dict[str, bytes]:
    """Return python/ from Debian's packages."""
    files = _python(tree, r"usr/(bin/python3\.\d+|lib/python3\.\d+/.+)")
    if not files:
        raise ProvisionError(f"the packages for {machine} hold no Python")
    return files


def _from_archive(path: Path, machine: str) -> dict[str, bytes]:
    """Return python/ from an archive that the user named, and may have from anywhere. Raises ProvisionError."""
    tree = Tree()
    try:
        with _Bounded(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            tree.add(archive, _checked(archive))
    except _Refused as exc:
        raise ProvisionError(f"{path} is refused: {exc}") from exc
    except (OSError, tarfile.TarError, EOFError, zlib.error) as exc:
        raise ProvisionError(f"{path} is no .tar.gz archive that can be read: {exc}") from exc
    files = _python(tree, r"python/(bin/python3\.\d+|lib/python3\.\d+/.+|lib/lib[^/]+\.so[^/]*)")
    program = min((name for name in files if name.startswith("python/bin/")), default=None)
    if program is None:
        raise ProvisionError(f"{path} holds no python/bin/python3.X: a cpython install_only archive is needed")
    head = files[program][:4096]
    if head[:4] != b"\x7fELF" or int.from_bytes(head[18:20], "little") != _ARCHITECTURES[machine].elf:
        raise ProvisionError(f"{path}: {program} is no program for {machine}: take the archive for {machine}")
    if b"ld-musl" in head:
        raise ProvisionError(f"{path}: {program} needs musl, runtimes need glibc: take the archive for linux-gnu")
    return files


def _python(tree: Tree, pattern: str) -> dict[str, bytes]:
    """Return python/ from the files that a device needs among those of the pattern; its group is the path in there."""
    found = [match for name in tree.names() if (match := re.fullmatch(pattern, name)) and not _LEFT_OUT.search(name)]
    return {f"python/{match[1]}": content for match in found if (content := tree.read(match[0])) is not None}


class _Refused(Exception):
    """An archive holds what no archive of a Python does."""


class _Bounded(gzip.GzipFile):
    """An unpacked stream that ends with an error rather than with this host's memory."""

    def read(self, size: int | None = -1) -> bytes:
        self._check(self.tell() + (size if size and size > 0 else 0))
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check(offset)
        return super().seek(offset, whence)

    def _check(self, end: int) -> None:
        if end > 2 * _MAX_UNPACKED_BYTES:  # with the headers
            raise _Refused(f"it unpacks to more than {_MAX_UNPACKED_BYTES >> 20} MiB")


def _checked(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members as long as they are few, small, and lead nowhere outside. Raises _Refused.

    Nothing is ever unpacked under its own name here; but whoever makes such an archive is up to no good.
    """
    total = 0
    for count, member in enumerate(archive, start=1):
        total += member.size
        target = member.linkname if member.issym() or member.islnk() else ""
        if member.issym():
            target = posixpath.join(posixpath.dirname(member.name), target)
        shown = repr(member.name)[:200]
        if _leads_out(member.name):
            raise _Refused(f"its member {shown} leads out of it")
        if target and _leads_out(target):
            raise _Refused(f"its member {shown} links to {member.linkname!r:.200}, outside of it")
        if not (member.isfile() or member.isdir() or target):
            raise _Refused(f"its member {shown} is neither file, folder nor link")
        if count > _MAX_MEMBERS or total > _MAX_UNPACKED_BYTES:
            raise _Refused(f"it unpacks to more than {_MAX_UNPACKED_BYTES >> 20} MiB or {_MAX_MEMBERS} files")
        yield member


def _leads_out(path: str) -> bool:
    return path.startswith("/") or posixpath.normpath(path).split("/")[0] == ".."


def _pack(files: dict[str, bytes], machine: str, glibc: int) -> tuple[bytes, Runtime]:
    """Return the .tar.gz, the same bytes for the same files, and what it is."""
    program = min(name for name in files if name.startswith("python/bin/"))
    loader = f"lib/{_ARCHITECTURES[machine].loader}"
    lines = []
    for name in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(files[name])}\n")
    record = {"interpreter.dist-info/RECORD": "".join(lines).encode()}
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name, content in sorted({**files, **record}.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if name in (program, loader) else 0o644
            archive.addfile(entry, io.BytesIO(content))
    data = buffer.getvalue()
    runtime = Runtime(
        sha256=hashlib.sha256(data).hexdigest(),
        python=program.removeprefix("python/bin/python"),
        glibc=glibc,
        loader=loader,
        program=program,
        unpacked_bytes=sum(map(len, files.values())),
    )
    return data, runtime
