"""What the SSH transport costs on the loopback, beside bare clients. Figures on standard output (`-s`)."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
import pytest

from harness.transports.ssh import SshTransport
from tests.rigs.sshd import Sshd

pytestmark = pytest.mark.perf

MIB = 64
DEVICES = 12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """A server without a forced command, since that would also force SFTP away."""
    made = Sshd(tmp_path / "server", options=["Subsystem sftp internal-sftp"])
    made.stop()
    made.options = [line for line in made.options if not line.startswith("ForceCommand")]
    made.start()
    yield made
    made.stop()


def median_s(work: Callable[[], Any], times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def options(server: Sshd) -> list[str]:
    """What OpenSSH's own clients need to log in."""
    return ["-q", "-i", str(server.identity), "-o", f"UserKnownHostsFile={server.client / '.ssh' / 'known_hosts'}"]


def test_push_beside_bare_clients(server: Sshd, tmp_path: Path, benchmark: Any) -> None:
    source, there = tmp_path / "source", tmp_path / "there" / "file"
    source.write_bytes(os.urandom(MIB << 20))
    with server.transport(timeout_s=20) as connected:

        def push() -> None:
            there.unlink(missing_ok=True)
            connected.push(source, PurePosixPath(there))

        benchmark.pedantic(push, rounds=5, warmup_rounds=1)
        again = median_s(lambda: connected.push(source, PurePosixPath(there)))
    with socket.create_connection((server.address, server.port)) as plug:
        bare = paramiko.Transport(plug)
        bare.start_client()
        bare.auth_publickey(server.user, paramiko.PKey.from_path(server.identity))
        files = bare.open_sftp_client()
        assert files is not None
        sftp = median_s(lambda: files.put(str(source), str(tmp_path / "sftp")))
        bare.close()
    command = ["sftp", *options(server), "-P", str(server.port), "-b", "-", server.address]
    batch = f"put {source} {tmp_path / 'openssh'}\n".encode()
    openssh = median_s(lambda: subprocess.run(command, input=batch, check=True, stdout=subprocess.DEVNULL))
    ours = benchmark.stats["median"]
    print(f"\npush {MIB / ours:.0f} MiB/s with both hashes; paramiko's SFTP {MIB / sftp:.0f} MiB/s without")
    print(f"OpenSSH's sftp with its log-in {MIB / openssh:.0f} MiB/s; the same push again {again:.2f} s")


def test_twelve_devices_at_once(server: Sshd, tmp_path: Path, benchmark: Any) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    login = ["ssh", *options(server), "-p", str(server.port), server.address]

    def ours(number: int) -> None:
        connected = SshTransport(server.login())
        connected.run(["true"], timeout_s=30)
        connected.push(source, PurePosixPath(tmp_path / f"ours{number}" / "file"))
        connected.close()

    def theirs(number: int) -> None:
        folder = tmp_path / f"theirs{number}"
        script = f"true; mkdir -p {folder}; cat >{folder}/file; sha256sum {folder}/file"
        subprocess.run([*login, script], input=source.read_bytes(), check=True, stdout=subprocess.DEVNULL)

    def all_of(work: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(DEVICES) as pool:
            list(pool.map(work, range(DEVICES)))

    benchmark.pedantic(lambda: all_of(ours), rounds=5, warmup_rounds=1)
    assert all((tmp_path / f"ours{number}" / "file").stat().st_size == 100_000 for number in range(DEVICES))
    openssh = median_s(lambda: all_of(theirs))
    print(f"\n{DEVICES} devices: {benchmark.stats['median']:.2f} s, as many OpenSSH clients {openssh:.2f} s")
