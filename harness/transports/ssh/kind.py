"""`transport = "ssh"`: a device with an SSH server. Importing this does not import paramiko."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field

from harness.errors import HostKeyUnknown
from harness.transports.base import Transport
from harness.transports.kind import Fields, Host, Kind, Named, Port, Trusts, Word

if TYPE_CHECKING:
    from harness.transports.ssh.login import Login

Text = Annotated[str, Field(pattern=r"^[^\x00]+$")]


class Ssh(Kind):
    """A server; what is None comes from ~/.ssh/config, which may explain the device's name too."""

    has_key: ClassVar[bool] = True

    host: Host | None = None
    port: Port | None = None
    user: Word | None = None
    identity_file: Text | None = None
    jump: Text | None = None

    def connect(self, device: Named, known_hosts: Path | None) -> Transport:
        from harness.transports.ssh.transport import SshTransport

        return SshTransport(self.login(device, known_hosts), device.interpreter)

    def where(self, device: Named) -> str:
        return self.host or device.name

    def login(self, device: Named, known_hosts: Path | None) -> Login:
        """Return how the server is reached. Raises ConnectError."""
        from harness.transports.ssh import address
        from harness.transports.ssh.login import Login

        found = address.resolve(self.where(device), **self.model_dump(exclude={"host"}))
        return Login(device.name, found, known_hosts, f"bench devices add {device.name}", device.timeout_s)

    @classmethod
    def fields_of(cls, _name: str, target: str) -> Fields:
        from harness.transports.ssh import address

        host, port, user = address.split(target)
        given: dict[str, str | int | None] = {"host": host, "port": port, "user": user}
        return {key: value for key, value in given.items() if value is not None}

    def introduce(self, device: Named, known_hosts: Path, trusts: Trusts) -> tuple[Self, str]:
        """Write the server's host key down once it is trusted. Raises ConnectError, WorkspaceError."""
        from harness.transports.ssh import known_hosts as keys
        from harness.transports.ssh.connection import host_key

        login = self.login(device, known_hosts)
        name, key = login.address.key_name, host_key(login)
        try:
            keys.KnownHosts(known_hosts).check(name, key, login.remedy)
        except HostKeyUnknown:
            if not trusts(f"{login} shows the host key {key.get_name()} {keys.fingerprint(key)}"):
                raise
        if not keys.KnownHosts(known_hosts).knows(name, key):
            keys.add(known_hosts, name, key)
        return self, str(login.address)

    def forget(self, device: Named, known_hosts: Path) -> None:
        from harness.transports.ssh import known_hosts as keys

        keys.remove(known_hosts, self.login(device, None).address.key_name)
