"""What the host remembers of a device that was set up: how the agent is started there."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from harness.fleet.devices import Device
from harness.workspace import Workspace
from results.files import write_file


@dataclass(frozen=True)
class Setup:
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


def write(workspace: Workspace, device: Device, setup: Setup) -> None:
    """Remember a device that was set up. Raises ResultsError."""
    write_file(_path(workspace, device), json.dumps(asdict(setup)).encode())


def read(workspace: Workspace, device: Device) -> Setup | None:
    """Return what is remembered of a device, None when it was not set up or has another folder by now.

    Earlier ones were set up in the folder above, where that was named in devices.toml, and work until it is done anew.
    """
    try:
        setup = Setup(**json.loads(_path(workspace, device).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    root = workspace.device_root(device)
    return setup if setup.folder in (str(root), str(root.parent)) else None


def forget(workspace: Workspace, device: Device) -> None:
    """Forget a device that was cleaned."""
    with suppress(OSError):
        _path(workspace, device).unlink(missing_ok=True)


def launch(workspace: Workspace, device: Device, agent: PurePosixPath) -> list[str]:
    """Return the command that starts `agent` on a device, set up or not."""
    setup = read(workspace, device)
    return setup.launch(agent) if setup else [device.interpreter, "-I", str(agent)]


def _path(workspace: Workspace, device: Device) -> Path:
    return workspace.root / "setup" / "devices" / f"{device.name}.json"
