"""What the host remembers of a device that was set up: how the agent is started there."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from results.files import write_file


@dataclass(frozen=True)
class Record:
    """The device's folder as devices.toml has it, its Python's command, the file that names the unpacked wheels.

    The rest is for whoever asks what was done: when (local time), which Python and whether it is the device's own, the
    runtimes' versions, the wheels' hashes by name, the note in the cache that chose them, and the `python` that
    devices.toml named ("" for none, None where it was not noted).
    """

    folder: str
    command: list[str]
    site: str
    at: str = field(default="", compare=False)
    python: str = ""
    own_python: bool = True
    versions: dict[str, str] = field(default_factory=dict)
    wheels: dict[str, str] = field(default_factory=dict)
    chosen: str = ""
    asked: str | None = None

    def launch(self, agent: PurePosixPath) -> list[str]:
        """Return the command that starts the agent."""
        # -I: neither the user's site-packages nor PYTHON* variables change what is measured.
        return [*self.command, "-I", str(agent), "--site", self.site]


def write(folder: Path, device: str, record: Record) -> None:
    """Remember a device that was set up. Raises ResultsError."""
    write_file(folder / f"{device}.json", json.dumps(asdict(record)).encode())


def read(folder: Path, device: str, root: PurePosixPath) -> Record | None:
    """Return what is remembered of a device, None when it was not set up or has another folder by now.

    Earlier ones were set up in the folder above, where that was named in devices.toml, and work until it is done anew.
    """
    try:
        record = Record(**json.loads((folder / f"{device}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return record if record.folder in (str(root), str(root.parent)) else None


def forget(folder: Path, device: str) -> None:
    """Forget a device that was cleaned."""
    with suppress(OSError):
        (folder / f"{device}.json").unlink(missing_ok=True)
