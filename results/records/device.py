"""What a device is, not what it is called: told at every connection, so that a changed board is seen."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from results.records.base import DeviceName, Record, Said, Sha256, Text, words_of

_LARGEST = 2**60


def _count(said: object) -> int | None:
    return said if type(said) is int and 1 <= said <= _LARGEST else None


def _hash(said: object) -> str | None:
    return said if isinstance(said, str) and re.fullmatch(r"[0-9a-f]{64}", said) else None


_Words = Annotated[str | None, BeforeValidator(words_of)]
_Count = Annotated[int | None, BeforeValidator(_count)]


class DeviceIdentity(Said):
    """What a device says of itself; None is what it does not tell.

    `hardware_id` is a hash of the machine's own serial number or, where none can be read, of /etc/machine-id, which
    names the installation and not the board.
    """

    machine: _Words = None
    kernel: _Words = None
    os: _Words = None
    cpu: _Words = None
    cpus: _Count = None
    memory_bytes: _Count = None
    os_build: _Words = None
    board: _Words = None
    hardware_id: Annotated[Sha256 | None, BeforeValidator(_hash)] = None


class DeviceSeen(Record):
    """A device at one connection: `backends` are its runtimes with their versions, None where one is not there."""

    device: DeviceName
    at: Text
    identity: DeviceIdentity
    backends: dict[Text, Text | None] = Field(default_factory=dict)
    agent_sha256: Sha256 | None = None
