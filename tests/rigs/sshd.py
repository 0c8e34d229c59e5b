"""An OpenSSH server on the loopback as a device, with keys of its own; as root or without."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.errors import ConnectError
from harness.transports.ssh import address as ssh_address
from harness.transports.ssh.login import Login
from harness.transports.ssh.transport import SshTransport
from tests.rigs.waiting import wait_for_ssh, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_MARK = "EDGEBENCH_RIG"


def need_sshd() -> None:
    """Skip the test where no server is installed."""
    if SSHD is None:
        pytest.skip("openssh-server is not installed; make test installs it")


def make_key(path: Path) -> None:
    """Make an Ed25519 key pair without passphrase."""
    path.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sshd:
    """The server, its folder and the home of a client that knows it.

    `home` is what a session gets as HOME, `client` the HOME of the host's side. `options` are lines of sshd_config;
    `login_shell` is a command line that runs instead of the login shell and finds what was asked for in
    $SSH_ORIGINAL_COMMAND. `wrap` is a command that starts the server, in a network namespace for instance.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Sequence[str] = (),
        login_shell: str = "",
        address: str = "127.0.0.1",
        wrap: Sequence[str] = (),
    ) -> None:
        need_sshd()
        self._wrap = wrap
        self.folder = folder
        self.address = address
        self.port = free_port()
        self.user = getpass.getuser()
        self.home, self.client = folder / "home", folder / "client"
        login_shell = login_shell or f'cd {self.home} && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
        self.options = [*options, f"ForceCommand {login_shell}"]
        self.home.mkdir(parents=True)
        (self.client / ".ssh").mkdir(parents=True, mode=0o700)
        make_key(folder / "host")
        make_key(self.identity)
        shutil.copy(f"{self.identity}.pub", folder / "authorized_keys")
        self.trust()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def identity(self) -> Path:
        """The client's private key."""
        return self.client / ".ssh" / "id_ed25519"

    def trust(self, port: int | None = None) -> None:
        """Write the server's key into the client's known_hosts, also for a proxy's port."""
        kind, key = (self.folder / "host.pub").read_text().split()[:2]
        with (self.client / ".ssh" / "known_hosts").open("a") as file:
            file.write(f"[{self.address}]:{port or self.port} {kind} {key}\n")

    def start(self) -> None:
        """Start the server and wait for its banner."""
        lines = [
            f"ListenAddress {self.address}:{self.port}",
            f"HostKey {self.folder / 'host'}",
            "PidFile none",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "MaxStartups 100",
            f"SetEnv {_MARK}={self.folder} HOME={self.home}",
            *self.options,
        ]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            command = [*self._wrap, str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_for_ssh(self._process, self.address, self.port, self.folder / "log")

    def login(self, *, port: int | None = None, timeout_s: float = 20.0) -> Login:
        """How the client reaches it; through a proxy at `port`."""
        address = ssh_address.resolve(
            self.address, port=port or self.port, user=self.user, identity_file=str(self.identity)
        )
        return Login("box", address, self.client / ".ssh" / "known_hosts", "bench devices add box", timeout_s)

    @contextmanager
    def transport(self, *, port: int | None = None, timeout_s: float = 20.0) -> Iterator[SshTransport]:
        """A connection for the length of a block; tried again while a busy machine is slower than `timeout_s`."""
        connected = wait_until(lambda: _reached(self.login(port=port, timeout_s=timeout_s)))
        try:
            yield connected
        finally:
            connected.close()

    def change_host_key(self) -> None:
        """Come back with another key, as after a new installation."""
        self.stop()
        make_key(self.folder / "host")
        self.start()

    def stop(self) -> None:
        """End the server, its sessions and whatever they started."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)  # no new sessions while the old ones are counted
        for pid in _descendants(self._process.pid):
            _kill(pid)
        self._process.kill()
        self._process.wait()
        self._process = None
        self.kill_sessions()

    def kill_sessions(self) -> None:
        """End what runs on the device, orphans included."""
        for pid in self.processes():
            _kill(pid)

    def processes(self, word: str = "") -> list[int]:
        """Return the processes that sessions started and that still run; with `word` in their command line."""
        return marked(f"{_MARK}={self.folder}", word)


def marked(variable: str, word: str = "") -> list[int]:
    """Return the processes whose environment holds `variable` (its beginning is enough) and the command line `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and any(part.startswith(variable.encode()) for part in (entry / "environ").read_bytes().split(b"\0"))
                and word.encode() in (entry / "cmdline").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[1]) == pid:
            children += [int(entry.name), *_descendants(int(entry.name))]
    return children


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reached(login: Login) -> SshTransport | None:
    with suppress(ConnectError):
        return SshTransport(login, sys.executable)
    return None


@contextmanager
def serving(folder: Path, *, options: Sequence[str] = (), login_shell: str = "") -> Iterator[Sshd]:
    """A server for the length of a block."""
    server = Sshd(folder, options=options, login_shell=login_shell)
    try:
        yield server
    finally:
        server.stop()
