"""Fixtures for all rooms."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from harness.transports.adb.server import find_adb
from harness.transports.adb.transport import AdbTransport
from harness.transports.ssh.transport import SshTransport
from models.store import ArtifactStore
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.bench import Bench
from tests.rigs.proxy import FaultProxy, between
from tests.rigs.quick import QuickBench
from tests.rigs.sshd import Sshd, serving

# A runner started in the background of a script inherits an ignored Ctrl-C, and so would every process started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of programs are started from the same sources; compiling these for each of them takes a tenth of their time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Several workers share few cores: OpenMP's threads would spin while they wait for one another, at three times the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline for an example is a timed assertion, and this machine may be busy.
settings.register_profile("bench", deadline=None)
settings.load_profile("bench")

FETCHING = "tests/harness/provision/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The files in which `fetching_packages` is held go to one worker: several would only wait for each other."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            scope: str = super()._split_scope(nodeid)
            return FETCHING if scope.startswith(FETCHING) else scope

    return Scheduling(config, log)


@pytest.fixture
def fetching_packages() -> Iterator[None]:
    """Held by tests that may install or fetch packages: neither apt nor what is kept of them takes two at a time."""
    with (Path(tempfile.gettempdir()) / "edgebench-tests.lock").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """`bench` in an empty folder, with device locks of its own: other tests and runs do not wait for it."""
    (tmp_path / "tmp").mkdir()
    return Bench(tmp_path, {"TMPDIR": str(tmp_path / "tmp")})


@pytest.fixture
def quick_bench(bench: Bench) -> QuickBench:
    """The same with runs of one short restart a case: for what is told, not for times."""
    return QuickBench(bench.folder, bench.environment)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty artifact store."""
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def adb_server(tmp_path: Path) -> Iterator[AdbServer]:
    """A real adb server that knows no device; its home is in the test's folder."""
    with AdbServer(find_adb(), tmp_path / "adb-home") as server:
        yield server


@pytest.fixture
def phone() -> Iterator[Phone]:
    """A phone that no adb server knows yet: its shell and files are this machine's."""
    with Phone() as made:
        yield made


@pytest.fixture
def adb_transport(adb_server: AdbServer, phone: Phone) -> Iterator[AdbTransport]:
    """The phone, reached through the server; it may be silent for twenty seconds."""
    transport = AdbTransport(adb_server.connect(phone), port=adb_server.port, timeout_s=20)
    yield transport
    transport.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """A real SSH server on the loopback."""
    with serving(tmp_path / "server") as running:
        yield running


@pytest.fixture
def proxy(server: Sshd) -> Iterator[FaultProxy]:
    """A way to the SSH server that can be cut, stalled and slowed down."""
    with between(server.port) as running:
        server.trust(running.port)
        yield running


@pytest.fixture
def ssh_transport(server: Sshd) -> Iterator[SshTransport]:
    """A connection to the SSH server."""
    with server.transport() as connected:
        yield connected
