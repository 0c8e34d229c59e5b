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
from harness.transports.ssh.files import read
from results.errors import ResultsError
from results.files import write_file

FILE_NAME = "known_hosts"
_SYSTEM = Path("/etc/ssh/ssh_known_hosts")
_REVOKED = "@revoked"
_AUTHORITY = "known_hosts has a @cert-authority for it; bench reads no host certificates"


@dataclass(frozen=True)
class Entry:
    """One line: whose key it is (patterns, or one hashed name), its kind, the key in base64, and its @marker."""

    names: str
    kind: str
    key: str
    marker: str = ""

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
    """Several known_hosts files read as one; what cannot be read is passed over, a file noted in `unread`."""

    def __init__(self, own: Path | None) -> None:
        """`own` is the workspace's file."""
        files = (Path.home() / ".ssh" / FILE_NAME, _SYSTEM, *((own,) if own else ()))
        self.unread: list[str] = []
        self.entries: list[Entry] = []
        for path in files:
            try:
                self.entries += filter(None, map(parse, _lines(path)))
            except OSError as exc:
                self.unread.append(f"{path} cannot be read: {exc.strerror}")

    def kinds(self, name: str) -> list[str]:
        """Return the kinds of keys that are known of a server, to be asked of it first."""
        return [entry.kind for entry in self.entries if entry.is_of(name) and not entry.marker]

    def knows(self, name: str, key: paramiko.PKey) -> bool:
        """Tell whether a file has this very key of the server."""
        return any(entry.is_of(name) and entry.key == key.get_base64() and not entry.marker for entry in self.entries)

    def check(self, name: str, key: paramiko.PKey, remedy: str) -> None:
        """Return when `key` is the server's; `remedy` is the command that makes a server known.

        Raises HostKeyUnknown, HostKeyChanged.
        """
        shown = f"{key.get_name()} {fingerprint(key)}"
        about = [entry for entry in self.entries if entry.is_of(name)]
        same = [entry for entry in about if entry.key == key.get_base64()]
        if any(entry.marker == _REVOKED for entry in same):
            raise HostKeyChanged(f"its host key {shown} is marked as revoked in known_hosts: do not use this device")
        if any(not entry.marker for entry in same):
            return
        if all(entry.marker for entry in about):
            raise HostKeyUnknown(
                f"its host key {shown} is not known yet{self._why(about)}. Compare it with the device's own (there: "
                f"ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: {remedy}"
            )
        raise HostKeyChanged(
            f"its host key is now {shown}, not the known one. Either the device was installed anew, or something else "
            f"answers at its address. Only when it is the former: ssh-keygen -R '{name}', then: {remedy}"
        )

    def _why(self, about: Sequence[Entry]) -> str:
        """Say what was passed over that may have made the key known."""
        is_signed = any(entry.marker == "@cert-authority" for entry in about)
        return "".join(f" ({note})" for note in [*self.unread, *([_AUTHORITY] if is_signed else [])])


def parse(line: str) -> Entry | None:
    """Return what a line of a known_hosts file says, None for a comment and nonsense."""
    fields = line.split()
    marker = fields.pop(0) if line.lstrip().startswith("@") else ""
    names, kind, key = (*fields[:3], "", "", "")[:3]
    if not key or names[0] in "#@":
        return None
    return Entry(names, kind, key, marker)


def add(own: Path, name: str, key: paramiko.PKey) -> None:
    """Write a server's key into the workspace's file, in place of those it had there. Raises WorkspaceError."""
    _put(own, name, [f"{name} {key.get_name()} {key.get_base64()}"])


def remove(own: Path, name: str) -> None:
    """Take a server out of the workspace's file. Raises WorkspaceError."""
    _put(own, name, [])


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
        return read(path).decode("utf-8", "replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _put(own: Path, name: str, lines: Sequence[str]) -> None:
    try:
        before = _lines(own)
        after = [*(line for line in before if line.split(" ")[0] != name), *lines]
        if after != before:
            write_file(own, "".join(f"{line}\n" for line in after).encode())
    except OSError as exc:
        raise WorkspaceError(f"{own} cannot be read: {exc.strerror}") from exc
    except ResultsError as exc:
        raise WorkspaceError(str(exc)) from exc
