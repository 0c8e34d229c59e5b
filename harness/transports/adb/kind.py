"""`transport = "adb"`: a phone. Importing this does not import what talks with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from harness.transports.kind import Fields, Host, Kind, Named, Port, Trusts

if TYPE_CHECKING:
    from harness.transports.adb.transport import AdbTransport


# The name that a phone announces in its network may hold a space.
Serial = Annotated[str, Field(pattern=r"^[^\s,\x00]([^\t\r\n,\x00]*[^\s,\x00])?$", max_length=255)]


class Adb(Kind):
    """An Android device by its serial, the only one that adb sees without."""

    root: ClassVar[str | None] = "/data/local/tmp/edgebench"
    fixed_clocks: ClassVar[str] = "on Android only root can set it"

    serial: Serial | None = None
    adb_host: Host | None = None
    adb_port: Port | None = None

    def connect(self, device: Named, known_hosts: Path | None) -> AdbTransport:
        from harness.transports.adb.transport import AdbTransport

        return AdbTransport(self.serial, self.adb_host, self.adb_port, timeout_s=device.timeout_s)

    def where(self, _device: Named) -> str:
        return self.serial or ""

    @classmethod
    def fields_of(cls, _name: str, target: str) -> Fields:
        return {} if target == "any" else {"serial": target}

    def introduce(self, device: Named, known_hosts: Path, _trusts: Trusts) -> tuple[Self, str]:
        """See that the phone is there and trusts this computer, and which it is."""
        transport = self.connect(device, known_hosts)
        transport.close()
        return self.model_copy(update={"serial": transport.serial}), transport.serial
