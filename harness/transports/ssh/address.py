"""Where an SSH device is: what devices.toml says, completed from the user's ~/.ssh/config."""

from __future__ import annotations

import re
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from harness.errors import ConnectError
from harness.transports.ssh import config

PORT = 22


@dataclass(frozen=True)
class Address:
    """A server, how to log in there, and through which others: `jumps` are [user@]host[:port], the nearest first.

    `key_name` is what the server is called in known_hosts files.
    """

    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    jumps: tuple[str, ...]
    key_name: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def resolve(
    host: str,
    *,
    port: int | None = None,
    user: str | None = None,
    identity_file: str | None = None,
    jump: str | None = None,
) -> Address:
    """Return the address of `host`; what is None comes from ~/.ssh/config. Raises ConnectError."""
    known = config.look_up(host)
    command = str(known.get("proxycommand") or "none")  # paramiko has None for "none", which switches it off
    if command.lower() != "none" and "proxyjump" not in known and jump is None:
        raise ConnectError(f"~/.ssh/config has a ProxyCommand for {host}, which bench does not run; use ProxyJump")
    name = str(known.get("hostname", host))
    number = port or _port(host, str(known.get("port", PORT)))
    named = [Path(identity_file).expanduser()] if identity_file else None
    jumps = jump or str(known.get("proxyjump", ""))
    return Address(
        host=name,
        port=number,
        user=user or str(known.get("user") or getuser()),
        identity_files=tuple(named or map(config.expanded, known.get("identityfile", []))),
        jumps=tuple(part.strip() for part in jumps.split(",") if part.strip() and part.strip() != "none"),
        key_name=str(known.get("hostkeyalias") or key_name(name, number)),
    )


def _port(host: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise ConnectError(f"~/.ssh/config has the Port {text!r} for {host}: it must be a number from 1 to 65535")
    return int(text)


def key_name(host: str, port: int) -> str:
    """Return what known_hosts files call a server."""
    return host if port == PORT else f"[{host}]:{port}"


def split(text: str) -> tuple[str, int | None, str | None]:
    """Return host, port and user of `[user@]host[:port]`, an IPv6 address in brackets. Raises ValueError."""
    match = re.fullmatch(
        r"(?:(?P<user>[^@\s/:]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^@:\s\[\]/]+))(?::(?P<port>\d{1,5}))?",
        text,
    )
    host = match and (match["v6"] or match["host"])
    if not match or not host or host.startswith("-") or not 0 < int(match["port"] or PORT) < 65536:
        raise ValueError(f"{text!r} is not [user@]host[:port]")
    return host, int(match["port"]) if match["port"] else None, match["user"]
