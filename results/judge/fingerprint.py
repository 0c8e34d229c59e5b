"""What must be equal in two measurements that are compared, as one hash; docs/measurement.md explains each part.

`case_id` says what was asked for; the fingerprint says under what it was measured: on which very board, with which
runtime, in which mode. What is asked for by name only (device, model) is not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from results.records import Case, DeviceSeen, Profile

PROTOCOL, UNMARKED = 2, 1
"""How a latency is measured (docs/measurement.md): raised with every change that moves latencies. Where inferences are
not marked, it is of all of them, as it was at first."""

_LENGTH = 16


def device_id(seen: Sequence[DeviceSeen]) -> str | None:
    """Return what names the very board, None where it told no serial number, or was not the same all the time."""
    boards = {one.identity.hardware_id for one in seen}
    board = boards.pop() if len(boards) == 1 else None
    return board[:_LENGTH] if board else None


def other_board(before: DeviceSeen, now: DeviceSeen) -> str | None:
    """Say that another board answers to a device's name than before, None when it is the same or they do not tell."""
    was, is_ = before.identity, now.identity
    if was.hardware_id is None or is_.hardware_id is None or was.hardware_id == is_.hardware_id:
        return None
    names = [one.board or one.cpu or one.machine or "a board" for one in (was, is_)]
    return (
        f"{now.device} is another board than before: {names[1]} ({is_.hardware_id[:8]}) at {now.at}, "
        f"{names[0]} ({was.hardware_id[:8]}) at {before.at}"
    )


def fingerprint(
    case: Case,
    profile: Profile,
    *,
    board: str | None,
    backend_version: str | None,
    environment: dict[str, tuple[str, ...]],
    fallback: str,
    marked: bool,
) -> str | None:
    """Return the hash of everything that must be equal, None where something of it is not known.

    `environment` is what was read of the device's modes: that a device does not tell them is a value like any other,
    because the same board does not tell them the next time either. `marked` says that the latency is of inferences that
    kept their core.
    """
    known = (case.artifact_sha256, case.io_sha256, board, backend_version)
    if None in known:
        return None
    parts = {
        "protocol": PROTOCOL if marked else UNMARKED,
        "artifact": case.artifact_sha256,
        "io": case.io_sha256,
        "backend": [case.backend, backend_version],
        "options": case.options,
        "precision": case.precision,
        "threads": case.threads,
        "cores": case.cores,
        "board": board,
        "environment": {name: list(values) for name, values in environment.items()},
        "fallback": fallback,
        "profile": profile.model_dump(exclude={"name", "restarts"}, exclude_none=True),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_LENGTH]
