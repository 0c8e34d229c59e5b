"""Host keys: which the user's and the workspace's known_hosts files hold, and whether a server's is among them."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from harness.errors import HostKeyChanged, HostKeyUnknown, WorkspaceError
from results.errors import ResultsError
from results.files import write_file

FILE_NAME = "known_hosts"
_SYSTEM = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True)
class Entry:
    """One line: whose key it is (patterns, or one hashed name), its kind and the key in base64."""

    names: str
    kind: str
    key: str
    revoked: bool = False

    def is_of(self, name: str) -> bool:
        """Tell whether the line is about the server called `name`."""
        if self.names.startswith("|1|"):
            return _is_hash_of(self.names, name)
        patterns = self.names.split(",")
        if any(pattern[:1] == "!" and _fits(name, pattern[1:]) for pattern in patterns):
            return False
        return any(_fits(name, pattern) for pattern in patterns)


def fingerprint(key: paramiko.PKey) -> str:
    """Return the fingerprint as ssh prints it: SHA256:…"""
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


class KnownHosts:
    """Several known_hosts files read as one; a line that cannot be read is passed over."""

    def __init__(self, own: Path | None) -> None:
        """`own` is the workspace's file."""
        files = (Path.home() / ".ssh" / FILE_NAME, _SYSTEM, *((own,) if own else ()))
        self.entries = [entry for file in files for line in _lines(file) if (entry := parse(line))]

    def kinds(self, name: str) -> list[str]:
        """Return the kinds of keys that are known of a server, to be asked of it first."""
        return [entry.kind for entry in self.entries if entry.is_of(name) and not entry.revoked]

    def knows(self, name: str, key: paramiko.PKey) -> bool:
        """Tell whether a file has this very key of the server."""
        return any(entry.is_of(name) and entry.key == key.get_base64() for entry in self.entries)

    def check(self, name: str, key: paramiko.PKey, remedy: str) -> None:
        """Return when `key` is the server's; `remedy` is the command that makes a server known.

        Raises HostKeyUnknown, HostKeyChanged.
        """
        shown = f"{key.get_name()} {fingerprint(key)}"
        about = [entry for entry in self.entries if entry.is_of(name)]
        same = [entry for entry in about if entry.key == key.get_base64()]
        if any(entry.revoked for entry in same):
            raise HostKeyChanged(f"its host key {shown} is marked as revoked in known_hosts: do not use this device")
        if same:
            return
        if not any(not entry.revoked for entry in about):
            raise HostKeyUnknown(
                f"its host key {shown} is not known yet. Compare it with the device's own (there: ssh-keygen -lf "
                f"/etc/ssh/ssh_host_ed25519_key.pub), then: {remedy}"
            )
        raise HostKeyChanged(
            f"its host key is now {shown}, not the known one. Either the device was installed anew, or something else "
            f"answers at its address. Only when it is the former: ssh-keygen -R '{name}', then: {remedy}"
        )


def parse(line: str) -> Entry | None:
    """Return what a line of a known_hosts file says, None for a comment, a certificate authority and nonsense."""
    fields = line.split()
    revoked = fields[:1] == ["@revoked"]
    names, kind, key = (*fields[revoked : revoked + 3], "", "", "")[:3]
    if not key or names[0] in "#@":
        return None
    return Entry(names, kind, key, revoked)


def add(own: Path, name: str, key: paramiko.PKey) -> None:
    """Write a server's key into the workspace's file, in place of those it had there. Raises WorkspaceError."""
    kept = [line for line in _lines(own) if line.split(" ")[0] != name]
    _write(own, [*kept, f"{name} {key.get_name()} {key.get_base64()}"])


def remove(own: Path, name: str) -> None:
    """Take a server out of the workspace's file. Raises WorkspaceError."""
    lines = _lines(own)
    kept = [line for line in lines if line.split(" ")[0] != name]
    if kept != lines:
        _write(own, kept)


def _fits(name: str, pattern: str) -> bool:
    # In known_hosts "[host]:port" is literal; only * and ? are wildcards.
    return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _is_hash_of(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in hashed.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _write(path: Path, lines: Sequence[str]) -> None:
    try:
        write_file(path, "".join(f"{line}\n" for line in lines).encode())
    except ResultsError as exc:
        raise WorkspaceError(str(exc)) from exc
