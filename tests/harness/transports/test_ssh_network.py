"""SSH over a network that swallows, resets and loses packets: only a kernel can do that, so this needs root."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import ConnectError
from harness.transports.ssh.transport import SshTransport
from tests.rigs.netns import Network, linked, serving_in
from tests.rigs.sshd import Sshd
from tests.rigs.waiting import LIMIT_S, SILENCE_S, wait_until


@pytest.fixture
def network() -> Iterator[Network]:
    with linked() as made:
        yield made


@pytest.fixture
def server(network: Network, tmp_path: Path) -> Iterator[Sshd]:
    with serving_in(network, tmp_path / "server") as running:
        yield running


@pytest.mark.parametrize("fault", ["blackhole", "reset"])
@pytest.mark.parametrize("doing", ["idle", "push"])
def test_a_dead_network_is_noticed_in_time(
    network: Network, server: Sshd, tmp_path: Path, fault: str, doing: str
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20) * 256)
    target = PurePosixPath(tmp_path / "target")
    with server.transport(timeout_s=SILENCE_S) as connected:
        stream = connected.stream(["sleep", "1234"], stdin=b"")
        under_way = {"idle": lambda: server.processes("sleep"), "push": lambda: any(tmp_path.glob(".part-*"))}
        threading.Thread(target=lambda: wait_until(under_way[doing]) and getattr(network, fault)()).start()
        begun = time.monotonic()
        work = {"idle": lambda: stream.read_line(60), "push": lambda: connected.push(source, target)}[doing]
        with pytest.raises(ConnectError, match="was lost"):
            work()
        assert time.monotonic() - begun < LIMIT_S
        begun = time.monotonic()
        stream.close()
        assert time.monotonic() - begun < LIMIT_S
    if fault == "blackhole":
        begun = time.monotonic()
        with pytest.raises(ConnectError, match=f"no answer within {SILENCE_S:g} s"):
            SshTransport(server.login(timeout_s=SILENCE_S))
        assert time.monotonic() - begun < LIMIT_S


def test_lost_packets_only_slow_a_push_down(network: Network, server: Sshd, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(8 << 20))
    network.lose(0.02)
    with server.transport(timeout_s=10) as connected:
        connected.push(source, PurePosixPath(target))
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
