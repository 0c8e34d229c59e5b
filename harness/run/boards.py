"""Which board was seen last under each device's name in this workspace, so that a changed one is told."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from harness.workspace import Workspace
from results.errors import ResultsError
from results.files import write_file
from results.judge.fingerprint import other_board
from results.records import DeviceSeen


def change(workspace: Workspace, seen: DeviceSeen) -> str | None:
    """Remember what a device is; return a sentence when that is another board than the last one of its name."""
    path = workspace.root / "seen" / f"{seen.device}.json"
    before = None
    with suppress(OSError, ValidationError):
        before = DeviceSeen.model_validate_json(path.read_bytes())
    changed = None if before is None else other_board(before, seen)
    if seen.identity.hardware_id is None or (before and not changed):
        return None  # it is no other, or it does not tell its serial number
    with suppress(ResultsError):  # a disk that takes no more is told where results are written
        write_file(path, seen.model_dump_json().encode())
    return changed and f"{changed}; its results are not to be compared with those of before"
