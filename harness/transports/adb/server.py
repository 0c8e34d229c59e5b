"""The adb server of this machine (or of another one): which devices it sees and in which state, and services on them.

The server answers questions of four hex digits' length and a name with OKAY or FAIL; `host:` names are for itself, all
others for a device that was chosen before. It is started when it does not run, and never ended: it may be the user's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConnectError

DEFAULT_PORT = 5037

_ANSWER_S = 5.0  # questions that the server answers by itself
_START_S = 20.0  # of the server; making the first key takes seconds on a slow host
_CONNECT_S = 15.0  # the server itself gives up on a network device after 10 s
_MAX_ANSWER = 0xFFFF

_HELP = {
    "unauthorized": "it does not trust this computer: unlock its screen and allow USB debugging from this computer, "
    "then try again (nothing to see there? unplug it, or revoke the authorizations in its developer options)",
    "authorizing": "it is being asked whether it trusts this computer: unlock its screen and allow USB debugging",
    "offline": "adb sees it but it does not answer: wait if it is booting; else plug it in again, or switch USB "
    "debugging off and on in its developer options",
    "connecting": "it is only just being connected: try again in a few seconds",
    "bootloader": "it is in the bootloader: boot it into Android",
    "recovery": "it is in recovery mode: boot it into Android",
    "sideload": "it is in sideload mode: boot it into Android",
    "rescue": "it is in rescue mode: boot it into Android",
    "no permissions": "this user may not open its USB port: install the udev rules for Android devices (Debian: the "
    "package android-sdk-platform-tools-common), join the group plugdev, then plug it in again",
}


def find_adb() -> str:
    """Return the adb program: that on PATH, or that in the package adbutils. Raises ConnectError."""
    found = shutil.which("adb")
    if found is None:
        # Not imported: that would load half a dozen packages for the sake of one path.
        spec = importlib.util.find_spec("adbutils")
        if spec and spec.origin:
            found = shutil.which("adb", path=str(Path(spec.origin).parent / "binaries"))
    if found is None:
        raise ConnectError(
            "no adb on this machine: install Android's platform tools (Debian: adb) or `pip install adbutils`"
        )
    return found


@dataclass(frozen=True)
class AdbServer:
    """An adb server by its address."""

    host: str
    port: int

    @classmethod
    def at(cls, host: str | None = None, port: int | None = None) -> AdbServer:
        """Return the server there; what is not given is where the adb program would look for it."""
        environment = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
        return cls(
            host or os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1",
            port or (int(environment) if environment.isdigit() else DEFAULT_PORT),
        )

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def start(self) -> None:
        """Start the server unless one runs. Raises ConnectError."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), _ANSWER_S):
            return
        if not self.is_local:
            raise ConnectError(
                f"no adb server answers on {self.host}:{self.port}: start one there with `adb -a nodaemon server`"
            )
        program = find_adb()
        try:
            # No pipes: the server outlives the client that starts it and would hold them open.
            started = subprocess.run(
                [program, "-P", str(self.port), "start-server"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                timeout=_START_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ConnectError(f"the adb server cannot be started with {program}: {exc}") from exc
        if started.returncode != 0:
            raise ConnectError(
                f"the adb server cannot be started: `{program} -P {self.port} start-server` shows what is wrong"
            )

    def devices(self) -> dict[str, str]:
        """Return serial -> state of every device the server sees. Raises ConnectError."""
        lines = self._ask("host:devices", _ANSWER_S).splitlines()
        return {serial: state for serial, tab, state in (line.partition("\t") for line in lines) if tab}

    def choose(self, serial: str | None) -> str:
        """Return the serial, or that of the only device when none is given. Raises ConnectError."""
        if serial:
            return serial
        seen = self.devices()
        if len(seen) == 1:
            return next(iter(seen))
        if seen:
            raise ConnectError(f"several devices are connected; set `serial` to one of: {_listed(seen)}")
        raise ConnectError(f"adb sees no device: {_PLUG_IN}")

    def connect(self, serial: str) -> None:
        """Make a network device (HOST:PORT) known, anew if it is. Never raises: the state says whether it worked."""
        with contextlib.suppress(ConnectError):
            self._ask(f"host:disconnect:{serial}", _ANSWER_S)
        with contextlib.suppress(ConnectError):
            self._ask(f"host:connect:{serial}", _CONNECT_S)

    def reconnect(self, serial: str) -> None:
        """Make the server connect to a device anew. Never raises: the state says whether it worked."""
        with contextlib.suppress(ConnectError):
            self._ask(f"host-serial:{serial}:reconnect", _ANSWER_S)

    def features(self, serial: str) -> frozenset[str]:
        """Return what the device's adb daemon can do. Raises ConnectError."""
        return frozenset(self._ask(f"host-serial:{serial}:features", _ANSWER_S).split(","))

    def open(self, serial: str, service: str, timeout_s: float) -> socket.socket:
        """Return a connection to a service of the device. Raises ConnectError."""
        connection = self._connection(timeout_s)
        try:
            _request(connection, f"host:transport:{serial}")
            _request(connection, service)
        except (OSError, ConnectError) as exc:
            connection.close()
            said = f"no answer within {timeout_s:g} s" if isinstance(exc, TimeoutError) else str(exc)
            raise ConnectError(f"{serial}: {said}") from exc
        return connection

    def explain(self, serial: str) -> str:
        """Say in words why the device cannot be worked with; empty when its state is good. Raises ConnectError."""
        seen = self.devices()
        state = seen.get(serial)
        if state == "device":
            return ""
        if state is None:
            others = f"adb sees: {_listed(seen)}" if seen else "adb sees no device"
            is_far = is_network(serial)
            network = "is it on, in this network, with wireless debugging on this port?" if is_far else _PLUG_IN
            return f"no device {serial} is connected; {others}. Check: {network}"
        help_ = next((text for key, text in _HELP.items() if state.startswith(key)), "boot it into Android")
        return f"{serial} is {state.split(' (')[0]}: {help_}"

    def _connection(self, timeout_s: float) -> socket.socket:
        try:
            connection = socket.create_connection((self.host, self.port), timeout_s)
        except OSError as exc:
            raise ConnectError(f"the adb server on {self.host}:{self.port} does not answer: {exc}") from exc
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _ask(self, question: str, timeout_s: float) -> str:
        with self._connection(timeout_s) as connection:
            try:
                _request(connection, question)
                return _read_text(connection)
            except OSError as exc:
                raise ConnectError(f"the adb server on {self.host}:{self.port}: {question}: {exc}") from exc


_PLUG_IN = "the cable, a charging-only one will not do; and USB debugging in the phone's developer options"


def is_network(serial: str) -> bool:
    """Tell whether a device is reached over a network, by HOST:PORT or by the name it announces there (mDNS)."""
    return re.search(r":\d+$|\._adb[\w-]*\._tcp\.?$", serial) is not None


def _listed(seen: dict[str, str]) -> str:
    return ", ".join(f"{serial} ({state.split(' (')[0]})" for serial, state in seen.items())


def acknowledge(connection: socket.socket) -> None:
    """Acknowledge what has come in at once.

    The server sends small pieces one by one, each after the one before was acknowledged, for which a kernel takes its
    time: 40 ms a command.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _request(connection: socket.socket, name: str) -> None:
    """Send a request. Raises OSError, and ConnectError with the server's own words when it refuses."""
    encoded = name.encode()
    if len(encoded) > _MAX_ANSWER:
        raise ConnectError(f"a command of {len(encoded)} bytes is too long for adb")
    connection.sendall(b"%04x" % len(encoded) + encoded)
    answer = _read(connection, 4)
    if answer == b"FAIL":
        raise ConnectError(_read_text(connection).strip())
    if answer != b"OKAY":
        raise _no_server(connection)


def _read_text(connection: socket.socket) -> str:
    length = _read(connection, 4)
    try:
        return _read(connection, int(length, 16)).decode("utf-8", "replace")
    except ValueError:
        raise _no_server(connection) from None


def _no_server(connection: socket.socket) -> ConnectError:
    host, port = connection.getpeername()[:2]
    return ConnectError(f"what answers on {host}:{port} is not an adb server: is the port right?")


def _read(connection: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        chunk = connection.recv(size - len(content))
        acknowledge(connection)
        if not chunk:
            raise ConnectionError("the connection was closed")
        content += chunk
    return bytes(content)
