"""Which board was seen last under each device's name in this workspace, so that a changed one is told."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from harness.workspace import Workspace
from results.errors import ResultsError
from results.files import write_file
from results.records import DeviceIdentity, DeviceSeen


def change(workspace: Workspace, seen: DeviceSeen) -> str | None:
    """Remember what a device is; return a sentence when that is another board than the last one of its name.

    A device that does not tell its serial number cannot be told from another.
    """
    path = workspace.root / "seen" / f"{seen.device}.json"
    before = None
    with suppress(OSError, ValidationError):
        before = DeviceSeen.model_validate_json(path.read_bytes())
    if seen.identity.hardware_id is None or (before and before.identity.hardware_id == seen.identity.hardware_id):
        return None
    with suppress(ResultsError):  # a disk that takes no more is told where results are written
        write_file(path, seen.model_dump_json().encode())
    if before is None:
        return None
    return (
        f"{seen.device} is another board than on {before.at[:10]} ({_words(before.identity)}; now "
        f"{_words(seen.identity)}): its results are not to be compared with those of before"
    )


def _words(identity: DeviceIdentity) -> str:
    name = identity.board or identity.cpu or identity.machine or "unknown"
    return f"{name}, hardware {(identity.hardware_id or '')[:8]}"
