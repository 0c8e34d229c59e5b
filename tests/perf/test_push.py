"""What pushes cost beside bare clients, on the loopback and on a link of known speed. Figures with `-s`."""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.fleet.devices import make
from harness.jobs.base import Terms
from harness.jobs.hold import Hold
from harness.jobs.probe import Probe
from harness.link import bundle
from harness.link.manners import Claim, Manners
from harness.link.ready import File, ReadyDevice
from harness.transports.adb.transport import AdbTransport
from harness.workspace import Workspace
from results.files import sha256_of
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.netns import linked
from tests.rigs.sshd import Sshd

pytestmark = pytest.mark.perf

MIB = 64
GIGABIT = 940  # of a gigabit Ethernet's thousand, what is left to the payload
DEVICES = 12
ARTIFACTS = 50


@contextmanager
def serving_files(folder: Path, **where: Any) -> Iterator[Sshd]:
    """A server without a forced command, since that would also force SFTP away."""
    made = Sshd(folder, options=["Subsystem sftp internal-sftp"], **where)
    made.stop()
    made.options = [line for line in made.options if not line.startswith("ForceCommand")]
    made.start()
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with serving_files(tmp_path / "server") as made:
        yield made


@pytest.fixture(params=[0, GIGABIT], ids=["loopback", "gigabit"])
def server_on_a_link(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sshd]:
    """On the loopback, and behind a link of its own."""
    if not request.param:
        yield request.getfixturevalue("server")
        return
    with linked() as network:
        network.limit(request.param)
        with serving_files(tmp_path / "server", address=network.address, wrap=network.wrap) as made:
            yield made


def seconds(work: Callable[[], Any], times: int = 7) -> list[float]:
    """Return the sorted times of some runs after a first one."""
    work()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return sorted(found)


def measured(benchmark: Any, work: Callable[[], Any], times: int = 7) -> list[float]:
    """The same for our side, kept by pytest-benchmark."""
    benchmark.pedantic(work, rounds=times, warmup_rounds=1)
    return sorted(benchmark.stats.stats.data)


def options(server: Sshd) -> list[str]:
    """What OpenSSH's own clients need to log in."""
    return ["-q", "-i", str(server.identity), "-o", f"UserKnownHostsFile={server.client / '.ssh' / 'known_hosts'}"]


def rate(found: Sequence[float]) -> str:
    return f"{MIB * 1.048576 / found[0]:.0f} MB/s (median {MIB * 1.048576 / statistics.median(found):.0f})"


def compare(name: str, found: Sequence[float], ours: Sequence[float]) -> None:
    best, median = found[0] / ours[0], statistics.median(found) / statistics.median(ours)
    print(f"{name} {rate(found)}: ours is at {best:.0%} of it (median {median:.0%})")


def test_first_push_over_ssh_beside_bare_clients(server_on_a_link: Sshd, tmp_path: Path, benchmark: Any) -> None:
    """The bare clients use a connection that is open already, as ours does."""
    server = server_on_a_link
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_bytes(os.urandom(MIB << 20))
    sha256 = sha256_of(source)
    with server.transport(timeout_s=20) as connected:

        def push() -> None:
            there.unlink(missing_ok=True)
            connected.push(source, PurePosixPath(there), sha256)

        ours = measured(benchmark, push)
        again = seconds(lambda: connected.push(source, PurePosixPath(there), sha256))
    master = [*options(server), "-o", f"ControlPath={tmp_path}/m", "-o", f"Port={server.port}"]
    subprocess.run(["ssh", *master, "-fNM", server.address], check=True)
    try:

        def bare(command: Sequence[str], stdin: Path | None = None) -> None:
            there.unlink(missing_ok=True)
            with (stdin or Path(os.devnull)).open("rb") as file:
                subprocess.run([*command], stdin=file, check=True, stdout=subprocess.DEVNULL)

        def cat(then: str) -> list[float]:
            return seconds(lambda: bare(["ssh", *master, server.address, f"cat >{there}{then}"], source))

        copied, hashed = cat(""), cat(f" && sha256sum {there}")
        scp = seconds(lambda: bare(["scp", *master, str(source), f"{server.address}:{there}"]))
    finally:
        subprocess.run(["ssh", *master, "-O", "exit", server.address], check=True)
    print(f"\nours with the hash {rate(ours)}; the same push again {statistics.median(again):.2f} s")
    compare("OpenSSH with cat", copied, ours)
    compare("OpenSSH with cat and sha256sum", hashed, ours)
    compare("scp", scp, ours)


@pytest.mark.parametrize(("megabytes_per_s", "hashes_by"), [(35, ""), (100, ""), (0, ""), (0, "openssl")])
def test_first_push_over_adb_beside_adb_push(
    adb_server: AdbServer, phone: Phone, tmp_path: Path, benchmark: Any, megabytes_per_s: int, hashes_by: str
) -> None:
    """coreutils' sha256sum does without the processor's instructions for it, which a phone's (BoringSSL's) uses."""
    if hashes_by:
        program = tmp_path / "bin" / "sha256sum"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\nexec openssl dgst -sha256 -r\n")
        program.chmod(0o755)
        phone.device.environment = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_bytes(os.urandom(MIB << 20))
    sha256 = sha256_of(source)
    transport = AdbTransport(adb_server.connect(phone), port=adb_server.port)
    phone.faults.bytes_per_s = megabytes_per_s * 1e6

    def push() -> None:
        there.unlink(missing_ok=True)
        transport.push(source, PurePosixPath(there), sha256)

    def bare() -> None:
        there.unlink(missing_ok=True)
        assert adb_server.client("push", str(source), str(there)).returncode == 0

    def without_hash() -> None:
        with transport.connection.shell(f"cat >{there}") as shell, source.open("rb") as file:
            while block := file.read(1 << 20):
                assert shell.send(block, 20)
            shell.close_stdin(20)
            while not shell.ended:
                shell.turn(time.monotonic() + 20)

    theirs, ours, shell_alone = seconds(bare, 5), measured(benchmark, push, 5), seconds(without_hash, 5)
    transport.close()
    link = f"{megabytes_per_s or 'any number of'} MB/s"
    print(f"\nlink of {link}, hash by {hashes_by or 'coreutils'}: ours {rate(ours)}")
    compare("adb push", theirs, ours)
    compare("a shell's cat without a hash", shell_alone, ours)


def session(workspace: Workspace, name: str, fields: dict[str, str | int], sources: Sequence[Path]) -> ReadyDevice:
    """A run's session with a device; every source is a model of its own."""
    device = make(name, {**fields, "python": sys.executable})
    root = workspace.device_root(device)
    files = []
    for source in sources:
        sha256 = sha256_of(source)
        files.append(File(root / "artifacts" / sha256 / "model.onnx", source, sha256))
    return ReadyDevice(workspace, device, Claim("perf", name), ("onnxruntime",), files, Manners(wait_s=20))


def trust(server: Sshd, workspace: Workspace) -> None:
    """Make the server known; once, before several threads read it."""
    workspace.known_hosts.write_bytes((server.client / ".ssh" / "known_hosts").read_bytes())


def ssh_fields(server: Sshd, root: Path) -> dict[str, str | int]:
    where = {"transport": "ssh", "host": server.address, "port": server.port, "root": str(root)}
    return {**where, "identity_file": str(server.identity)}


@pytest.mark.parametrize("kind", ["ssh", "adb"])
def test_a_second_run_with_fifty_artifacts(
    tmp_path: Path, request: pytest.FixtureRequest, benchmark: Any, kind: str
) -> None:
    """From nothing to a device that is ready: connected, agent checked, locked, probed, all files asked for."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    sources = [tmp_path / f"source{number}" for number in range(ARTIFACTS)]
    for source in sources:
        source.write_bytes(os.urandom(1 << 20))
    if kind == "ssh":
        server = request.getfixturevalue("server")
        trust(server, workspace)
        fields = ssh_fields(server, tmp_path / "there")
    else:
        adb, phone = request.getfixturevalue("adb_server"), request.getfixturevalue("phone")
        serial = adb.connect(phone)
        root = str(tmp_path / "there")
        fields = {"transport": "adb", "serial": serial, "adb_port": adb.port, "root": root}

    opened = session(workspace, "it", fields, sources)
    begun = time.perf_counter()
    opened.open()
    first = time.perf_counter() - begun
    opened.close()
    assert len(list((tmp_path / "there").glob("edgebench/artifacts/*/model.onnx"))) == ARTIFACTS
    benchmark.pedantic(ReadyDevice.open, setup=lambda: ((opened,), {}), teardown=ReadyDevice.close, rounds=7)
    again = benchmark.stats["median"]
    print(f"\n{kind}: {ARTIFACTS} artifacts of 1 MiB pushed in {first:.2f} s; ready again in {again:.2f} s")


def test_twelve_devices_at_once(server: Sshd, tmp_path: Path, benchmark: Any) -> None:
    """Connect, push the agent, lock, probe, push a model; OpenSSH does so in one session, with the same bytes."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1 << 20))
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir()
    trust(server, workspace)
    agent = bundle.build()
    rounds = iter(range(100))

    def ours(root: Path) -> None:
        opened = session(workspace, root.name, ssh_fields(server, root), [source])
        opened.open()
        opened.close()

    def theirs(root: Path) -> None:
        model = {"path": f"{root}/model", "size_bytes": 1 << 20}
        terms = Terms(patience_s=60)
        hold = Hold(PurePosixPath(root) / "lock", "perf", root.name, wait_s=20, lease_s=60).line(terms)
        probe = Probe(["onnxruntime"], [model], {"root": str(root), "max_bytes": None}).line(terms)
        python = f"{shlex.quote(sys.executable)} -I {root}/agent.pyz"
        # The agent ends when its standard input does; this end of a fifo keeps itself open.
        script = (
            f"mkdir {root} && cd {root} && mkfifo fifo && head -c {len(agent.content)} >agent.pyz && "
            f"sha256sum agent.pyz && head -c {len(hold)} | {python} && "
            f"exec 3<>fifo && head -c {len(probe)} >&3 && {python} <&3 && cat >model && sha256sum model"
        )
        given = agent.content + hold + probe + source.read_bytes()
        command = ["ssh", *options(server), "-p", str(server.port), server.address, script]
        done = subprocess.run(command, input=given, check=True, capture_output=True)
        assert b'"held"' in done.stdout
        assert b'"probe"' in done.stdout
        assert (root / "model").stat().st_size == source.stat().st_size

    def all_of(work: Callable[[Path], None]) -> None:
        count = next(rounds)
        with ThreadPoolExecutor(DEVICES) as pool:
            list(pool.map(work, [tmp_path / f"d{count}-{number}" for number in range(DEVICES)]))

    openssh, found = seconds(lambda: all_of(theirs), 5), measured(benchmark, lambda: all_of(ours), 5)
    pushed = list(tmp_path.glob("d*/artifacts/*/model.onnx"))
    assert len(pushed) == 6 * DEVICES
    ratio = statistics.median(found) / statistics.median(openssh)
    print(f"\n{DEVICES} devices: {found[2]:.2f} s, as many OpenSSH clients {openssh[2]:.2f} s: {ratio:.2f} times")
