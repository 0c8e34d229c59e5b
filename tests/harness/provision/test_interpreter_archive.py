"""`bench devices setup --interpreter ARCHIVE`: a Python from an archive runs there; a hostile archive is refused."""

from __future__ import annotations

import gzip
import io
import platform
import re
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import ProvisionError
from harness.provision import interpreter
from harness.provision.device import Provisioner
from models.store import ArtifactStore
from tests.rigs.bench import Bench
from tests.rigs.provisioning import CACHE, OfflineTransport, restart_tiny

pytestmark = pytest.mark.usefixtures("fetching_packages")

MACHINE = platform.machine()
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"") -> Member:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry, content


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def device(name: str) -> Member:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.CHRTYPE
    return entry, b""


def pack(path: Path, *members: Member) -> Path:
    """Write an archive, the same bytes for the same members."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for entry, content in members:
            archive.addfile(entry, io.BytesIO(content))
    return path


def program(machine: int = 62, inside: bytes = b"") -> bytes:
    """The beginning of a program for a machine, x86_64 unless told."""
    return b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + inside


def test_a_python_from_an_archive_measures(tmp_path: Path, store: ArtifactStore) -> None:
    base = Path(sys.base_prefix)
    library = base / "lib" / VERSION
    wanted = [base / "bin" / VERSION, *sorted(library.rglob("*.py")), *sorted(library.rglob("*.so"))]
    wanted += sorted((base / "lib").glob(f"lib{VERSION}.so*"))
    left_out = {"test", "tests", "site-packages", "idlelib", "tkinter", "ensurepip", "lib2to3"}
    wanted = [path for path in wanted if not left_out & set(path.relative_to(base).parts)]
    if not wanted[0].is_file() or not library.joinpath("os.py").is_file():
        pytest.skip("this Python does not lie in one folder")
    members = [file(f"python/{path.relative_to(base)}", path.read_bytes()) for path in wanted]
    archive = pack(tmp_path / "cpython.tar.gz", *members, link("python/bin/python3", VERSION))
    transport = OfflineTransport()
    worker = Provisioner(transport, PurePosixPath(tmp_path / "device"), CACHE)
    outcome, record = worker.setup(("tflite",), pythons=(), archive=archive)
    assert (outcome.own_python, f"python{outcome.python}", outcome.problems) == (False, VERSION, [])
    assert record.command[-1].startswith(str(tmp_path / "device" / "runtime"))
    restart = restart_tiny(transport, record, store, "tflite", "tflite")
    assert (restart.outcome, restart.verified) == ("ok", True), restart.reason
    assert restart.agent["python"] == platform.python_version()


HOSTILE: dict[str, tuple[Callable[[], Member], str]] = {
    "traversal": (lambda: file("python/lib/../../../etc/cron.d/x"), r"member 'python/lib/\.\./.*' leads out of it"),
    "absolute": (lambda: file("/etc/passwd"), "member '/etc/passwd' leads out of it"),
    "absolute link": (lambda: link("python/lib/python3.12/x.py", "/etc/shadow"), "links to '/etc/shadow', outside"),
    "link out": (lambda: link("python/lib/x", "../../../root/.ssh/id_rsa"), "links to '../../../root/.*', outside"),
    "hard link": (lambda: link("python/lib/x", "/etc/shadow", tarfile.LNKTYPE), "links to '/etc/shadow', outside"),
    "device": (lambda: device("python/lib/x"), "neither file, folder nor link"),
    "escape": (lambda: file("../\x1b[2J\n" + "x" * 900), r"member '\.\./\\x1b\[2J\\nx+ leads out"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_leads_outside_is_refused(tmp_path: Path, what: str) -> None:
    make, words = HOSTILE[what]
    archive = pack(tmp_path / "evil.tar.gz", file("python/bin/python3.12", program()), make())
    with pytest.raises(ProvisionError, match=f"evil.tar.gz is refused: its .*{words}"):
        interpreter.build(tmp_path, "x86_64", archive=archive)


def bomb(path: Path, entry: tarfile.TarInfo, size: int) -> Path:
    """Write one member of so many zero bytes."""
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_MAX_UNPACKED_BYTES", 4 << 20)
    entry = tarfile.TarInfo("python/lib/python3.12/zeros.py")
    entry.type, entry.size = kind, 64 << 20
    archive = bomb(tmp_path / "bomb.tar.gz", entry, entry.size)
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(ProvisionError, match=r"bomb.tar.gz is refused: it unpacks to more than 4 MiB"):
        interpreter.build(tmp_path, "x86_64", archive=archive)


def test_many_small_files_are_a_bomb_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_MAX_MEMBERS", 10)
    archive = pack(tmp_path / "many.tar.gz", *(file(f"python/lib/{number}") for number in range(11)))
    with pytest.raises(ProvisionError, match=r"refused: it unpacks to more than \d+ MiB or 10 files"):
        interpreter.build(tmp_path, "x86_64", archive=archive)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((), "holds no python/bin/python3.X"),
        ((file("cpython/bin/python3.12", program()),), "holds no python/bin/python3.X"),
        ((file("python/bin/python3.12", b"#!/bin/sh\n"),), "is no program for x86_64"),
        ((file("python/bin/python3.12", program(183)),), "python/bin/python3.12 is no program for x86_64: take the"),
        ((file("python/bin/python3.12", program(62, b"/lib/ld-musl-x86_64.so.1")),), "needs musl, runtimes need glibc"),
    ],
)
def test_an_archive_of_something_else_is_told(tmp_path: Path, members: tuple[Member, ...], words: str) -> None:
    archive = pack(tmp_path / "cpython.tar.gz", *members)
    with pytest.raises(ProvisionError, match=re.escape(words)):
        interpreter.build(tmp_path, "x86_64", archive=archive)


def test_a_cut_archive_is_told(tmp_path: Path) -> None:
    archive = pack(tmp_path / "cut.tar.gz", file("python/bin/python3.12", program() + bytes(range(256)) * 400))
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(ProvisionError, match=r"cut.tar.gz is no .tar.gz archive that can be read: \w+"):
        interpreter.build(tmp_path, "x86_64", archive=archive)


def test_a_hostile_archive_as_a_user_meets_it(bench: Bench) -> None:
    pack(bench.folder / "evil.tar.gz", file("../../x"))
    said = bench("devices", "setup", "local", "--interpreter", "evil.tar.gz", expect=1)
    assert "local: not set up\n  evil.tar.gz is refused: its member '../../x' leads out of it\n" in said.stdout
