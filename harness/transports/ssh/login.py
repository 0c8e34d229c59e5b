"""The log-in to an SSH server: how one is reached, and the keys that are tried there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

from harness.errors import AuthenticationFailed, ConnectError
from harness.transports.ssh.address import Address
from harness.transports.ssh.files import read

DEFAULT_TIMEOUT_S = 20.0
FOREIGN = (paramiko.SSHException, EOFError, OSError)  # what paramiko raises

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class Login:
    """How one server is reached. `timeout_s` bounds every silence; `remedy` makes an unknown host key known.

    `hop` counts the jump hosts between this server and the device that is to be reached.
    """

    name: str
    address: Address
    own_known_hosts: Path | None
    remedy: str
    timeout_s: float = DEFAULT_TIMEOUT_S
    hop: int = 0

    def __str__(self) -> str:
        return f"{self.name} ({self.address})"


def log_in(transport: paramiko.Transport, login: Login) -> None:
    """Try the named keys, the agent's, and the user's usual ones. Raises AuthenticationFailed, ConnectError."""
    tried: list[str] = []
    for label, key in _keys(login, tried):
        tried.append(label)
        try:
            further = transport.auth_publickey(login.address.user, key)
        except paramiko.BadAuthenticationType as exc:
            raise AuthenticationFailed(
                f"{login}: the server takes no keys, only {', '.join(exc.allowed_types)}; allow key log-in there "
                "(PubkeyAuthentication yes)"
            ) from exc
        except paramiko.AuthenticationException as exc:
            if "timeout" in str(exc).lower():
                raise ConnectError(f"{login}: the log-in was not answered within {login.timeout_s:g} s") from exc
            if not transport.is_active():
                break  # it has had enough of our keys
            continue
        except FOREIGN as exc:
            raise ConnectError(f"{login}: the log-in with {label} was cut off: {plain(exc)}") from exc
        if further:
            raise AuthenticationFailed(
                f"{login}: besides the key it asks for {', '.join(further)}: bench cannot answer"
            )
        return
    shown = ", ".join(tried) or "none was found"
    raise AuthenticationFailed(
        f"{login}: log-in refused. Keys tried: {shown}. Put your public key there (ssh-copy-id), or name the right one "
        "with identity_file"
    )


class _Agent(paramiko.Agent):  # type: ignore[misc]
    """ssh-agent, which gets as long for an answer as a server: one that is dead or asks its user may never give it."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        super().__init__()

    def _connect(self, conn: socket.socket) -> None:
        conn.settimeout(self._limit_s)
        try:
            super()._connect(conn)
        except BaseException:
            conn.close()
            raise


def _keys(login: Login, notes: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    """Yield (how it is called, key): those in files, then those of ssh-agent; what cannot be read goes to `notes`.

    Of those in the agent the one that belongs to a file is the first: servers take only so many tries.
    """
    address = login.address
    files = address.identity_files or tuple(Path.home() / ".ssh" / name for name in _DEFAULT_KEYS)
    for path in files:
        try:
            key = _key(path)
        except FileNotFoundError:
            if path in address.identity_files:
                notes.append(f"{path} (no such file)")
        except Exception as exc:  # noqa: BLE001 - a key file may hold anything, and the kinds of errors differ by it
            locked = "password" in str(exc).lower() or "encrypted" in str(exc).lower()
            why = "has a passphrase: load it into ssh-agent with ssh-add" if locked else f"unreadable: {plain(exc)}"
            notes.append(f"{path} ({why})")
        else:
            yield str(path), key
    named = {words[1] for path in files if len(words := _text(Path(f"{path}.pub"), path).split()) > 1}
    try:
        agent = _Agent(login.timeout_s)
    except TimeoutError:
        notes.append(f"ssh-agent (no answer within {login.timeout_s:g} s)")
    except Exception as exc:  # noqa: BLE001 - whatever answers there, it is no agent
        notes.append(f"ssh-agent ({plain(exc)})")
    else:
        with closing(agent):
            for key in sorted(agent.get_keys(), key=lambda key: key.get_base64() not in named):
                yield f"ssh-agent: {key.comment or key.get_name()}", key


def _key(path: Path) -> paramiko.PKey:
    """Return the key in a file. Raises OSError, and whatever else paramiko and the libraries below it do."""
    read(path)  # paramiko would wait for ever for what is no file
    certificate = Path(f"{path}-cert.pub")
    if certificate.exists():
        read(certificate)
    return paramiko.PKey.from_path(path)


def _text(*paths: Path) -> str:
    """Return the first of these files that can be read as text."""
    for path in paths:
        with suppress(OSError, ValueError):
            return read(path).decode("ascii")
    return ""


def plain(exc: BaseException) -> str:
    """Return a foreign error in one line."""
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return " ".join(str(text).split())[:300]
