"""The agent as one file: a zipapp of `harness.agent` and the backends, the same bytes for the same sources."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import backends
from harness.transports import Transport
from results.files import write_file

_ROOT = Path(__file__).resolve().parents[2]
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold; a real one would change the hash at every build


@dataclass(frozen=True)
class Bundle:
    """The zipapp's bytes and their SHA-256."""

    content: bytes
    sha256: str

    @property
    def name(self) -> str:
        return f"agent-{self.sha256[:16]}.pyz"


def _sources(third_party: tuple[str, ...]) -> dict[str, bytes]:
    """Return path in the zipapp -> source, third-party backends' modules under their own dotted names."""
    files = {"harness/__init__.py": b""}
    for folder in ("harness/agent", "backends"):
        sources = (_ROOT / folder).rglob("*.py")
        files.update({path.relative_to(_ROOT).as_posix(): path.read_bytes() for path in sources})
    files["__main__.py"] = files["harness/agent/__main__.py"]
    for target in third_party:
        module = target.partition(":")[0]
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise backends.UnknownBackend(f"the module {module} of a third-party backend cannot be found")
        parts = module.split(".")
        for depth in range(1, len(parts)):
            files.setdefault("/".join(parts[:depth]) + "/__init__.py", b"")
        files["/".join(parts) + ".py"] = Path(spec.origin).read_bytes()
    return files


@cache
def build(names: tuple[str, ...] = ()) -> Bundle:
    """Return the agent with every built-in backend and those third-party ones among `names`.

    Raises UnknownBackend.
    """
    third_party = tuple(sorted(backends.reference(name) for name in names if name not in backends.BUILTIN))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, source in sorted(_sources(third_party).items()):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), source)
    content = buffer.getvalue()
    return Bundle(content, hashlib.sha256(content).hexdigest())


def push(
    transport: Transport, root: PurePosixPath, kept: Path, names: tuple[str, ...] = ()
) -> tuple[PurePosixPath, str]:
    """Put the agent with these backends into a device's folder; return its path there and its SHA-256.

    `kept` is where agents are kept here. Raises TransportError.
    """
    packed = build(names)
    write_file(kept / packed.name, packed.content)
    path = root / "agent" / packed.name
    transport.push(kept / packed.name, path, packed.sha256)
    return path, packed.sha256
