"""What a device is, not what it is called: told at every connection, so that a changed board is seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field

from results.records.base import DeviceName, Record, Sha256, Text
from results.records.telemetry import UNKNOWN

_MAX_LENGTH = 256

_Words = Annotated[str, Field(max_length=_MAX_LENGTH)]


class DeviceIdentity(Record):
    """What a device says of itself; None is what it does not tell.

    `hardware_id` is a hash of the machine's own serial number or, where none can be read, of /etc/machine-id, which
    names the installation and not the board.
    """

    machine: _Words | None = None
    kernel: _Words | None = None
    os: _Words | None = None
    cpu: _Words | None = None
    cpus: Annotated[int, Field(ge=1, le=2**20)] | None = None
    memory_bytes: Annotated[int, Field(ge=1, le=2**60)] | None = None
    os_build: _Words | None = None
    board: _Words | None = None
    hardware_id: Sha256 | None = None

    @classmethod
    def of(cls, said: Mapping[str, object]) -> Self:
        """Parse what a device said: bounded, and what makes no sense is as unknown as what is missing."""
        texts = ("machine", "kernel", "os", "cpu", "os_build", "board")
        numbers = {"cpus": 2**20, "memory_bytes": 2**60}
        found: dict[str, object] = {name: _text(said.get(name)) for name in texts}
        found |= {name: _count(said.get(name), most) for name, most in numbers.items()}
        hardware = said.get("hardware_id")
        is_hash = isinstance(hardware, str) and re.fullmatch(r"[0-9a-f]{64}", hardware)
        return cls.model_validate({**found, "hardware_id": hardware if is_hash else None})


class DeviceSeen(Record):
    """A device at one connection: `backends` are its runtimes with their versions, None where one is not there."""

    device: DeviceName
    at: Text
    identity: DeviceIdentity
    backends: dict[Text, Text | None] = Field(default_factory=dict)
    agent_sha256: Sha256 | None = None


def _text(said: object) -> str | None:
    return said[:_MAX_LENGTH] if isinstance(said, str) and said not in ("", UNKNOWN) else None


def _count(said: object, most: int) -> int | None:
    return said if type(said) is int and 1 <= said <= most else None
