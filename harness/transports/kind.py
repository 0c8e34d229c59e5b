"""What is known of a transport before it is used; its own fields in devices.toml are the fields of its `Kind`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from harness.transports.base import Transport

Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Word = Annotated[str, Field(pattern=r"^[^\s,\x00]+$", max_length=255)]
Host = Annotated[str, Field(pattern=r"^[^-\s,@/\x00][^\s,@/\x00]*$", max_length=255)]

Fields = dict[str, str | int | float | bool]
# Tells whether the user trusts what the question shows, like the key of a device that nobody has seen before.
Trusts = Callable[[str], bool]


class Named(Protocol):
    """What a transport may know of a device besides the fields of its own."""

    @property
    def name(self) -> str:
        """The device's name in devices.toml."""

    @property
    def interpreter(self) -> str:
        """The Python that runs the agent there."""

    @property
    def timeout_s(self) -> float:
        """How long it may be silent before its connection counts as lost."""


class Kind(BaseModel, ABC):
    """How one device is reached: a subclass for each transport, an object for each device.

    Devices are listed and planned with these objects alone, so the module of a subclass imports what it talks with in
    its methods. What every device of a transport has in common are class variables:

    root          where files go on the device unless devices.toml says; None: a folder in the workspace
    python        the Python there unless devices.toml says; None: `python3`, or whichever is found
    fixed_clocks  why its owner cannot set a governor or a power mode there; empty where he can
    has_key       whether a device shows a key that `bench devices add` asks about
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: ClassVar[str | None] = ".cache/edgebench"
    python: ClassVar[str | None] = None
    fixed_clocks: ClassVar[str] = ""
    has_key: ClassVar[bool] = False

    @abstractmethod
    def connect(self, device: Named, known_hosts: Path | None) -> Transport:
        """Return the open transport; `known_hosts` is the workspace's file of keys. Raises TransportError."""

    def where(self, _device: Named) -> str:
        """Say where the device is, in a word or two."""
        return ""

    def place(self, folder: str) -> str:
        """Return where a folder is on the device; one without a slash in front is below the home."""
        return folder

    @classmethod
    def fields_of(cls, _name: str, target: str) -> Fields:
        """Return the fields of a new device that the user calls `target`. Raises ValueError."""
        raise ValueError(f"say where {target!r} is with --field")

    def introduce(self, device: Named, known_hosts: Path, _trusts: Trusts) -> tuple[Self, str]:
        """Meet a device that is being added; return its fields, completed, and where it is. Raises TransportError."""
        self.connect(device, known_hosts).close()
        return self, self.where(device)

    def forget(self, device: Named, known_hosts: Path) -> None:
        """Forget what `introduce` wrote down."""
