"""Setting devices up with runtimes; see docs/provisioning.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.fleet.devices import Device
from harness.link import setup_record
from harness.provision import cleaning, wheels
from harness.provision.device import CANDIDATES, Outcome, Provisioner, Reserve
from harness.transports import Transport
from harness.workspace import Workspace

__all__ = ["Outcome", "clean", "setup", "status"]


def status(workspace: Workspace, device: Device) -> dict[str, Any] | None:
    """Return what this workspace set a device up with, None when it did not.

    `newer` are wheels that were chosen since for devices of its kind; `python_changed` says that devices.toml names
    another Python than it did then, which does not count until the device is set up again.
    """
    record = setup_record.read(workspace, device)
    if record is None:
        return None
    now = wheels.chosen(workspace.root / "setup", record.chosen) if record.chosen else {}
    newer = [f"{name} {version}" for name, (version, sha256) in now.items() if record.wheels.get(name) != sha256]
    return {
        "at": record.at,
        "python": record.python,
        "own_python": record.own_python,
        "backends": record.versions,
        "newer": newer,
        "python_changed": record.asked not in (None, device.python or ""),
    }


def _own(device: Device) -> tuple[str, ...]:
    """Return the names under which a device's own Python is looked for."""
    return (device.interpreter,) if device.python or device.own.python else CANDIDATES


def setup(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    backend_names: Sequence[str],
    *,
    bring_python: bool = False,
    archive: Path | None = None,
    afresh: bool = False,
    say: Callable[[str], None] = lambda _: None,
    reserve: Reserve = lambda _: None,
) -> Outcome:
    """Bring runtimes, and where need be Python, to a device. Raises ProvisionError, TransportError, DeviceBusy.

    `bring_python` ignores the device's own Python; `archive` is a cpython install_only archive to bring; `afresh` looks
    for newer versions than those chosen before. `reserve` gets the Pythons there by which others can be kept away.
    """
    worker = _provisioner(workspace, device, transport, say, reserve)
    own = _own(device)
    reserve(worker.find_pythons(own))
    pythons = () if bring_python or archive else own
    outcome, record = worker.setup(backend_names, pythons=pythons, archive=archive, afresh=afresh)
    setup_record.write(workspace, device, replace(record, asked=device.python or ""))
    return outcome


def clean(
    workspace: Workspace, device: Device, transport: Transport, *, reserve: Reserve = lambda _: None
) -> list[str]:
    """Remove what bench has put on a device; return what else lies in its folder there, which stays.

    Raises ProvisionError, TransportError, DeviceBusy.
    """
    worker = _provisioner(workspace, device, transport)
    reserve(worker.find_pythons(_own(device)))
    left = cleaning.clean(transport, worker.folder, worker.inside)
    setup_record.forget(workspace, device)
    return left


def _provisioner(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    say: Callable[[str], None] = lambda _: None,
    reserve: Reserve = lambda _: None,
) -> Provisioner:
    inside = workspace.root if device.folder is None else None
    return Provisioner(transport, workspace.device_root(device), workspace.root / "setup", say, reserve, inside)
