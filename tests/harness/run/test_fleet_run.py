"""`bench` with a device over a real SSH server: from adding it to losing it in the middle of a run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.errors import ConnectError, DeviceBusy, TransferError
from harness.fleet import locks
from harness.fleet.devices import LOCAL, Device
from harness.link.manners import Claim, Hooks, Manners
from harness.link.ready import File, ReadyDevice, Reservation
from harness.transports.ssh.transport import SshTransport
from harness.workspace import Workspace
from results import journal
from results.records import RunDocument
from tests.rigs.bench import MEASURED, Bench, written
from tests.rigs.campaign import Campaign, asked_for, run_over_a_bad_link
from tests.rigs.clock import Clock
from tests.rigs.proxy import FaultProxy
from tests.rigs.sshd import Sshd, free_port, marked
from tests.rigs.waiting import SILENCE_S, wait_until

FAKE = ("--models", "tiny.onnx", "--backends", "fake")
LONG = (*FAKE, "--threads", "1,2,3")  # six restarts


@pytest.fixture(autouse=True)
def no_host_left(tmp_path: Path) -> Iterator[None]:
    """A test that fails may leave `bench` running."""
    yield
    for pid in marked(f"TMPDIR={tmp_path}"):
        os.kill(pid, signal.SIGKILL)


def host(folder: Path, server: Sshd, port: int, *, timeout_s: float = 20.0, extra: str = "") -> Bench:
    """A host of its own: workspace, temporary folder with its locks, and a devices.toml with `box` and `local`."""
    (folder / "tmp").mkdir(parents=True)
    bench = Bench(folder, {"HOME": str(server.client), "TMPDIR": str(folder / "tmp"), "PYTHONFAULTHANDLER": "1"})
    (folder / "devices.toml").write_text(
        f'[devices.local]\ntransport = "local"\n\n[devices.box]\ntransport = "ssh"\nhost = "{server.address}"\n'
        f'port = {port}\npython = "{sys.executable}"\ntimeout_s = {timeout_s}\n{extra}'
    )
    bench.copy_model()
    return bench


def document(bench: Bench) -> RunDocument:
    (folder,) = (bench.workspace / "runs").iterdir()
    return journal.read(folder)


def finish(process: subprocess.Popen[str], expect: int = 0) -> tuple[str, str]:
    try:
        stdout, stderr = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # says where every thread is
        pytest.fail("\n".join(process.communicate()))
    assert "Traceback" not in stderr, stderr
    assert process.returncode == expect, stdout + stderr
    return stdout, stderr


def measuring(server: Sshd, besides: set[int]) -> int:
    """Return the process that measures on the device now."""

    def other() -> int:
        with suppress(OSError, ValueError, KeyError):
            pid = int(json.loads((server.home / ".cache/edgebench/lock.running").read_text())["pid"])
            return 0 if pid in besides else pid
        return 0

    return wait_until(other)


def rows(stdout: str) -> dict[str, dict[str, Any]]:
    """Return device -> its row; where it has several, the one with the fewest restarts."""
    found = sorted(json.loads(stdout)["rows"], key=lambda row: -int(row["n_restarts"]))
    return {row["device"]: row for row in found}


def test_measuring_over_ssh_and_a_second_run_that_sends_neither_model_nor_agent(
    tmp_path: Path, server: Sshd, proxy: FaultProxy
) -> None:
    bench = host(tmp_path / "host", server, proxy.port, extra='cores = "0"\n')
    (row,) = bench.rows("run", "--device", "box", "--models", "tiny.onnx", "--backends", "onnxruntime")
    assert row["device"] == "box"
    assert row["verdict"] in MEASURED
    assert row["n_restarts"] == 2
    assert row["actual"]["cores"] == "0"
    pushed = sorted(path.name for path in (server.home / ".cache/edgebench").rglob("*") if path.is_file())
    assert [name.split("-")[0] for name in pushed] == [
        ".edgebench",
        "agent",
        "io",
        "lock",
        "lock.running",
        "model.onnx",
    ]
    (agent,) = server.home.rglob("agent-*")
    proxy.sent = 0
    bench("run", "--device", "box", "--models", "tiny.onnx", "--backends", "fake")
    assert proxy.sent < agent.stat().st_size / 2
    wait_until(lambda: (server.home / ".cache/edgebench/lock").read_text() == "")


def test_cut_connections_lose_nothing(tmp_path: Path, server: Sshd, proxy: FaultProxy) -> None:
    bench = host(tmp_path / "host", server, proxy.port)
    process = bench.start("run", "--device", "box", *LONG, "--reconnect", "10", "--json")
    for count in (1, 3):
        bench.wait_for_restarts(count, process, device="box")
        proxy.cut()
    stdout, stderr = finish(process)
    assert rows(stdout)["box"]["n_restarts"] == 2
    assert {restart.outcome for restart in document(bench).restarts} == {"ok"}
    assert "was lost" in stderr


def test_a_bad_link(tmp_path: Path, server: Sshd, proxy: FaultProxy) -> None:
    bench = host(tmp_path / "host", server, proxy.port, timeout_s=SILENCE_S)
    run_over_a_bad_link(bench, ("--device", "box", *FAKE), proxy)
    wait_until(lambda: (server.home / ".cache/edgebench/lock").read_text() == "")


def test_a_device_that_stays_away_is_offline_and_resume_finishes(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    process = bench.start("run", "--device", "box,local", *LONG, "--reconnect", "1.5", "--json")
    bench.wait_for_restarts(1, process, device="box")
    server.stop()
    stdout, stderr = finish(process, expect=3)
    found = rows(stdout)
    assert found["local"]["n_restarts"] == 2
    assert "nothing listens on port" in stderr
    before = document(bench).restarts
    server.start()
    resumed = rows(bench("run", "--resume", "last", "--json").stdout)
    assert resumed["box"]["n_restarts"] == 2
    assert document(bench).restarts[: len(before)] == before


@pytest.mark.parametrize(("reconnect_s", "tries"), [(1000.0, 3), (0.0, 1)])
def test_how_often_a_device_that_went_away_is_tried(tmp_path: Path, reconnect_s: float, tries: int) -> None:
    said: list[str] = []
    manners = Manners(wait_s=0, reconnect_s=reconnect_s)
    device = Device(name="box", transport="ssh", host="127.0.0.1", port=free_port())
    ready = ReadyDevice(Workspace(tmp_path), device, Claim("a test", "token"), (), (), manners, Hooks(say=said.append))
    with pytest.raises(ConnectError, match="nothing listens"):
        ready.reopen(ConnectError("it went away"))
    assert len(said) == tries
    assert "it went away; trying again in" in said[0]


def test_a_model_that_was_removed_from_this_machine_is_told(tmp_path: Path) -> None:
    gone = File(PurePosixPath("model.onnx"), tmp_path / "gone", "0" * 64)
    session = ReadyDevice(
        Workspace(tmp_path), LOCAL, Claim("a test", "token"), ("fake",), (gone,), Manners(0, reconnect_s=0)
    )
    with pytest.raises(TransferError, match="gone of this machine cannot be read: No such file"):
        session.open()


def test_a_device_that_is_off_from_the_beginning(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    server.stop()
    begun = time.monotonic()
    (row,) = bench.rows("run", "--device", "box", *FAKE, expect=2)
    assert row["verdict"] == "offline"
    assert "nothing listens on port" in row["reason"]
    assert time.monotonic() - begun < 45


def test_two_hosts_take_turns(tmp_path: Path, server: Sshd) -> None:
    one, other = host(tmp_path / "one", server, server.port), host(tmp_path / "other", server, server.port)
    first = one.start("run", "--device", "box", *FAKE, "--backend-option", "fake.fault=hang")
    measuring(server, set())
    (gap,) = other.rows("run", "--device", "box", *FAKE, "--wait", "0", expect=2)
    assert gap["verdict"] == "offline"
    words = r"device box is in use by bench run \S+ \(\S+ at .*\) since 2\S+ \S+; gave up after 0 s, see --wait"
    assert re.fullmatch(words, gap["reason"])
    second = other.start("run", "--resume", "last", "--json")
    assert second.stderr
    assert second.stderr.readline().startswith("device box is in use by bench run")
    for agent in server.home.rglob("agent-*"):
        agent.unlink()  # as a third host does when the device's clock has jumped: it looks a day old
    ended = datetime.now(UTC).isoformat(timespec="milliseconds")
    first.send_signal(signal.SIGINT)
    finish(first, expect=130)
    assert rows(finish(second)[0])["box"]["n_restarts"] == 2
    assert min(restart.started_at for restart in document(other).restarts if restart.outcome == "ok") >= ended


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_host_that_ends_leaves_nothing_and_resumes(tmp_path: Path, server: Sshd, number: int) -> None:
    bench = host(tmp_path / "host", server, server.port)
    process = bench.start("run", "--device", "box", *LONG)
    bench.wait_for_restarts(2, process, device="box")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    wait_until(lambda: not server.processes("agent-"))
    assert [row["n_restarts"] for row in bench.rows("run", "--resume", "last", "--wait", "5")] == [2, 2, 2]


def test_a_restart_during_which_the_lock_was_lost_is_made_again(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    process = bench.start("run", "--device", "box", *FAKE, "--backend-option", "fake.sleep_ms=300", "--json")
    first = measuring(server, set())
    bench.wait_for_restarts(1, process)
    measuring(server, {first})  # the last one: no other follows that would notice
    os.kill(json.loads((server.home / ".cache/edgebench/lock").read_text())["pid"], signal.SIGKILL)
    stdout, stderr = finish(process)
    assert "the device's lock was lost" in stderr
    assert rows(stdout)["box"]["n_restarts"] == 2


def test_a_vanished_host_s_lock_ends_with_its_lease(tmp_path: Path, server: Sshd, proxy: FaultProxy) -> None:
    one = host(tmp_path / "one", server, proxy.port, timeout_s=SILENCE_S)
    other = host(tmp_path / "other", server, server.port)
    first = one.start("run", "--device", "box", *LONG, "--reconnect", "60")
    one.wait_for_restarts(1, first, device="box")
    proxy.faults.stall_after = 0  # the server is not told that the host is gone
    first.kill()
    first.communicate()
    (row,) = other.rows("run", "--device", "box", *FAKE, "--wait", "30")
    assert row["n_restarts"] == 2


def test_a_host_key_that_changes_in_mid_run(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    keys = {path: path.read_bytes() for path in (server.folder / "host", server.folder / "host.pub")}
    process = bench.start("run", "--device", "box", *FAKE, "--json")
    bench.wait_for_restarts(1, process, device="box")
    (folder,) = (bench.workspace / "runs").iterdir()
    before = written(folder)
    server.change_host_key()
    stdout, stderr = finish(process, expect=3)
    assert rows(stdout)["box"]["n_restarts"] == 1
    assert "its host key is now" in rows(stdout)["box"]["reason"]
    assert stderr.count("trying again") == 1  # no waiting helps
    assert "not the known one" in bench("run", "--resume", "last", expect=3).stderr
    server.stop()
    for path, content in keys.items():
        path.write_bytes(content)
    server.start()
    assert rows(bench("run", "--resume", "last", "--json").stdout)["box"]["n_restarts"] == 2
    now = written(folder)
    assert {name: now[name][: len(lines)] for name, lines in before.items()} == before


def test_a_disk_that_is_full_or_read_only(tmp_path: Path, server: Sshd, small_disk: Path) -> None:
    bench = host(tmp_path / "host", server, server.port, extra=f'root = "{small_disk}/there"\n')
    filler = small_disk / "filler"
    with filler.open("wb") as file, suppress(OSError):
        file.write(bytes(65 << 20))
    done = bench("run", "--device", "box", *FAKE, "--json", expect=2)
    row = rows(done.stdout)["box"]
    assert row["verdict"] == "offline"
    assert "No space left on device; make room there, or name another folder with root = " in row["reason"]
    assert "trying again" not in done.stderr, "waiting makes no room"
    assert "removed" in bench("devices", "clean", "box").stdout, "what makes room needs none"
    filler.unlink()
    process = bench.start("run", "--resume", "last", "--json")
    bench.wait_for_restarts(2, process, device="box")  # the first never was
    with filler.open("wb") as file, suppress(OSError):
        file.write(bytes(65 << 20))  # while the last restart is measured: it needs no room
    assert rows(finish(process)[0])["box"]["n_restarts"] == 2
    filler.unlink()
    shutil.rmtree(small_disk / "there")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = bench("devices", "check", "box", expect=1).stdout
    assert "Read-only file system; name a folder that can be written with root = … in devices.toml" in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB on the device."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]).returncode:
        pytest.skip("a small file system cannot be mounted")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_clocks_that_jump_change_nothing(tmp_path: Path, server: Sshd) -> None:
    """The host's clock and the device's: an hour ahead, then a day back, while the device is held and measures."""
    clock = Clock(tmp_path)
    python = tmp_path / "python"
    settings = " ".join(f"{name}={value}" for name, value in clock.environment.items())
    python.write_text(f'#!/bin/sh\nexec env {settings} {sys.executable} "$@"\n')
    python.chmod(0o755)
    bench = host(tmp_path / "host", server, server.port, timeout_s=2.0)
    devices = bench.folder / "devices.toml"
    devices.write_text(devices.read_text().replace(f'"{sys.executable}"', f'"{python}"'))
    bench.environment.update(clock.environment)
    process = bench.start("run", "--device", "box", *FAKE, "--threads", "1,2", "--json")
    for count, offset in ((1, 3600), (2, -86_400)):
        bench.wait_for_restarts(count, process, device="box")
        clock.jump(offset)
    stdout, _ = finish(process)
    assert rows(stdout)["box"]["n_restarts"] == 2
    restarts = document(bench).restarts
    assert {restart.outcome for restart in restarts} == {"ok"}
    assert all(0 < restart.wall_ns < 60e9 and max(restart.samples_ns) < 10e9 for restart in restarts)
    begun = [datetime.fromisoformat(restart.started_at) for restart in restarts]
    assert (max(begun) - min(begun)).total_seconds() > 43_200  # the clock did jump
    wait_until(lambda: (server.home / ".cache/edgebench/lock").read_text() == "")


@pytest.mark.timeout(0)  # the campaign has its own limit
def test_random_faults_lose_nothing(tmp_path: Path, server: Sshd, proxy: FaultProxy) -> None:
    bench = host(tmp_path / "host", server, proxy.port, timeout_s=SILENCE_S)

    def reboot() -> None:
        server.stop()
        time.sleep(0.3)
        server.start()

    campaign = Campaign(
        bench,
        ("--device", "box", *LONG),
        {"cut": proxy.cut, "stall": proxy.stall, "reboot": reboot},
        server.processes,
        lambda: [bench.folder / "tmp/edgebench-locks/box.lock", server.home / ".cache/edgebench/lock"],
    )
    campaign.run(*asked_for())


def test_an_agent_that_the_kernel_kills_is_told_as_such(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    process = bench.start(
        "run", "--device", "box", *FAKE, "--backend-option", "fake.fault=hang", "--patience", "60", "--json"
    )
    killed: set[int] = set()
    for _ in range(2):  # a failed restart is tried once more
        killed.add(pid := measuring(server, killed))
        os.kill(pid, signal.SIGKILL)
    stdout, _ = finish(process, expect=1)
    assert "SIGKILL, as the kernel does when memory runs out" in rows(stdout)["box"]["reason"]


def test_a_changed_host_key_is_offline_with_its_reason(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    server.change_host_key()
    (row,) = bench.rows("run", "--device", "box", *FAKE, expect=2)
    assert row["verdict"] == "offline"
    assert "not the known one" in row["reason"]


# bench devices


def test_a_device_that_measures_is_neither_set_up_nor_cleaned(tmp_path: Path, server: Sshd) -> None:
    one, other = host(tmp_path / "one", server, server.port), host(tmp_path / "other", server, server.port)
    first = one.start("run", "--device", "box", *FAKE, "--backend-option", "fake.fault=hang")
    pid = measuring(server, set())
    for command in (("setup", "--backends", "tflite"), ("clean",)):
        (answer,) = other.json("devices", *command, "box", "--wait", "0", expect=1)["devices"]
        assert re.search(r"in use by bench run \S+ \(.*since .*gave up after 0 s", answer["problems"][0])
    (answer,) = other.json("devices", "check", "box")["devices"]
    assert re.fullmatch(r"bench run \S+ \(\S+ at .*\) since 2\S+ \S+", answer["in_use_by"])
    assert locks.holder("box") is None  # not on this host
    os.kill(pid, 0)  # still measuring
    assert list(server.home.rglob("model.onnx"))
    first.send_signal(signal.SIGINT)
    finish(first, expect=130)


def test_a_device_that_is_set_up_is_not_measured(tmp_path: Path, server: Sshd) -> None:
    def reservation(reason: str, transport: SshTransport) -> Reservation:
        workspace, device = Workspace(tmp_path / reason), Device(name="box", transport="ssh")
        return Reservation(workspace, device, transport, Claim(reason, reason), Manners(wait_s=0))

    def until_lost(reserved: Reservation) -> None:
        while True:
            reserved.take([])

    broken = server.folder / "old-python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    with server.transport() as transport, reservation("setup", transport) as reserved:
        reserved.take([("no-such-python",), (str(broken),), (sys.executable,)])
        with pytest.raises(DeviceBusy, match=r"device box is in use by setup \("):
            reservation("run", transport).take([(sys.executable,)])
        reserved.take([])  # it is asked again before it changes what is there
        for pid in server.processes("agent-"):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectError, match="lock was lost"):
            until_lost(reserved)


def test_add_check_forget(tmp_path: Path, server: Sshd) -> None:
    (server.client / ".ssh" / "known_hosts").unlink()
    folder = tmp_path / "host"
    (folder / "tmp").mkdir(parents=True)
    bench = Bench(folder, {"HOME": str(server.client), "TMPDIR": str(folder / "tmp")})
    where = f"{server.user}@{server.address}:{server.port}"
    refused = bench("devices", "add", "box", "--ssh", where, expect=2)
    assert "SHA256:" in refused.stderr
    assert "is not known yet" in refused.stderr
    assert not (folder / "devices.toml").exists()
    bench("devices", "add", "box", "--ssh", where, "--accept-new-host-key")
    text = (folder / "devices.toml").read_text()
    assert "[devices.local]" in text
    assert f'[devices.box]\ntransport = "ssh"\nhost = "{server.address}"\nport = {server.port}' in text
    own = '[devices.box.backend_options]\nfake.sleep_ms = "2"\n'
    (folder / "devices.toml").write_text(text + f'# mine\npython = "{sys.executable}"\n{own}')
    answer = bench.json("devices", "check", "box")["devices"][0]
    assert answer["usable"]
    assert answer["works"] == ["it can be reached", f"{sys.executable} runs the agent"]
    assert (answer["setup"], answer["in_use_by"]) == (None, None)
    assert answer["system"]["free_bytes"] > 0
    bench("devices", "add", "box", expect=0)  # known already: nothing to ask
    server.change_host_key()
    assert "not the known one" in bench("devices", "check", "box", expect=1).stdout
    assert "not the known one" in bench("devices", "add", "box", "--accept-new-host-key", expect=2).stderr
    bench("devices", "forget", "box")
    assert "box" not in (folder / "devices.toml").read_text()
    assert "sleep_ms" not in (folder / "devices.toml").read_text()
    assert "[devices.local]" in (folder / "devices.toml").read_text()
    assert (bench.workspace / "known_hosts").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "box", "--ssh", "a b"), "is not [user@]host[:port]"),
        (("add", "local", "--ssh", "pi"), "a device local already"),
        (("add", "bad/name", "--ssh", "no-such-host.invalid"), "a device's name is letters"),
        (("add", "x", "--ssh", "no-such-host.invalid"), "cannot be resolved"),
        (("forget", "nothing"), "no device is called 'nothing'"),
    ],
)
def test_what_add_and_forget_refuse(bench: Bench, arguments: tuple[str, ...], words: str) -> None:
    (bench.folder / "devices.toml").write_text('[devices.local]\ntransport = "local"\n')
    assert words in bench("devices", *arguments, expect=2).stderr


def test_check_says_what_to_do_about_a_missing_python(tmp_path: Path, server: Sshd) -> None:
    bench = host(tmp_path / "host", server, server.port)
    path = bench.folder / "devices.toml"
    path.write_text(path.read_text().replace(sys.executable, "/no/such/python"))
    said = bench("devices", "check", "box", expect=1).stdout
    assert "works: it can be reached" in said
    words = "/no/such/python is not there or cannot be run; `bench devices setup` brings a Python"
    assert words in said
    (row,) = bench.rows("run", "--device", "box", *FAKE, "--reconnect", "0", expect=2)
    assert words in row["reason"]
