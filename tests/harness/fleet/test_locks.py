"""One at a time on a device, whatever the process; a killed holder holds nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import AgentError, DeviceBusy, LockUnusable
from harness.fleet import locks
from harness.link import bundle
from harness.link.agent import AgentOnDevice
from harness.link.device_lock import DeviceLock
from harness.transports.local import LocalTransport
from tests.rigs.bench import ROOT

HOLD = """
import sys, time
from harness.fleet import locks
with locks.hold(sys.argv[1], 'a test', wait_s=0):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def holder(name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.wait()
    assert process.stdout
    process.stdout.close()


def test_a_second_holder_is_told_who_has_it() -> None:
    other = holder("pi")
    try:
        words = rf"device pi is in use by a test \(pid {other.pid}, .*gave up after 0 s"
        with pytest.raises(DeviceBusy, match=words), locks.hold("pi", "me", wait_s=0):
            pass
        assert str(locks.holder("pi")).startswith(f"a test (pid {other.pid}, ")
    finally:
        end(other, signal.SIGKILL)


def test_a_killed_holder_holds_nothing() -> None:
    end(holder("pi"), signal.SIGKILL)
    assert locks.holder("pi") is None
    with locks.hold("pi", "me", wait_s=0):
        pass


def test_waiting_says_so_once_and_then_gets_it() -> None:
    other = holder("pi")
    told: list[str] = []

    def on_wait(message: str) -> None:
        told.append(message)
        end(other, signal.SIGKILL)

    with locks.hold("pi", "me", wait_s=30, on_wait=on_wait):
        assert len(told) == 1


def test_waiting_can_be_called_off() -> None:
    other = holder("pi")
    try:
        with pytest.raises(DeviceBusy), locks.hold("pi", "me", wait_s=60, stopping=lambda: True):
            pass
    finally:
        end(other, signal.SIGKILL)


def test_two_devices_do_not_wait_for_each_other() -> None:
    with locks.hold("pi", "me", wait_s=0), locks.hold("pixel", "me", wait_s=0):
        pass


def test_what_stands_in_a_foreign_lock_file_is_only_text() -> None:
    other = holder("pi")
    try:
        path = locks.folder() / "pi.lock"
        path.write_bytes(b'{"reason": "\\u001b[2J", "pid": 1, "user": "x", "since": "y"}')
        with pytest.raises(DeviceBusy, match=r"in use by \[2J \(pid 1, x, since y\)"), locks.hold("pi", "me", wait_s=0):
            pass
        assert locks.holder("pi") == "[2J (pid 1, x, since y)"
        path.write_bytes(b"\xff\xfe{")
        with pytest.raises(DeviceBusy, match="in use by another run"), locks.hold("pi", "me", wait_s=0):
            pass
    finally:
        end(other, signal.SIGKILL)


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", '{"pid": "x"}', '{"pid": 1e999}', f'{{"pid": {10**30}}}', "[" * 4096]
)
def test_a_lock_file_that_names_no_process_is_nobodys(content: str) -> None:
    with locks.hold("pi", "me", wait_s=0):
        (locks.folder() / "pi.lock").write_text(content)
        assert locks.holder("pi") is None


def test_a_lock_given_up_by_an_error_is_nobodys() -> None:
    with pytest.raises(KeyError), locks.hold("pi", "me", wait_s=0):
        raise KeyError
    assert locks.holder("pi") is None


def folder_in_its_place(path: Path) -> None:
    path.mkdir()


def link_in_its_place(path: Path) -> None:
    path.symlink_to("mine")


def second_name_in_its_place(path: Path) -> None:
    path.hardlink_to(path.with_name("mine"))


@pytest.mark.parametrize("make", [os.mkfifo, folder_in_its_place, link_in_its_place, second_name_in_its_place])
def test_what_is_no_plain_file_is_no_lock(make: Callable[[Path], None]) -> None:
    locks.folder().mkdir()
    mine = locks.folder() / "mine"
    mine.write_text("mine")
    make(locks.folder() / "pi.lock")
    with pytest.raises(LockUnusable, match=r"pi\.lock .*; remove it"), locks.hold("pi", "me", wait_s=60):
        pass
    assert locks.holder("pi") is None
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, link_in_its_place, Path.touch])
def test_what_is_no_folder_holds_no_locks(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "mine").mkdir()
    make(locks.folder())
    with pytest.raises(LockUnusable, match="is not a folder; remove it"), locks.hold("pi", "me", wait_s=60):
        pass
    assert not list((tmp_path / "mine").iterdir())


def test_a_full_disk_keeps_nobody_from_holding(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with locks.hold("pi", "me", wait_s=0):
        other = [sys.executable, "-c", HOLD, "pi"]
        done = subprocess.run(other, cwd=ROOT, capture_output=True, text=True, check=False)
        assert "in use by another run" in done.stderr


def on_device(folder: Path, token: str) -> DeviceLock:
    agent = folder / "agent.pyz"
    packed = bundle.build()
    agent.write_bytes(packed.content)
    started = AgentOnDevice(LocalTransport(), [sys.executable, "-I", str(agent)], packed.sha256)
    return DeviceLock(started, PurePosixPath(folder / "root" / "lock"), f"the {token} run", token, timeout_s=60)


@pytest.mark.parametrize("name", ["lock", "lock.running"])
@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "somebody else's"])
def test_a_planted_lock_is_refused_and_nothing_behind_it_touched(tmp_path: Path, name: str, kind: str) -> None:
    planted, victim = tmp_path / "root" / name, tmp_path / "victim"
    planted.parent.mkdir()
    victim.write_text(json.dumps({"pid": os.getpid()}))
    before = victim.read_bytes()
    if kind == "link":
        planted.symlink_to(victim)
    elif kind == "second name":
        planted.hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(planted)
    elif os.geteuid() == 0:
        planted.write_bytes(before)
        os.chown(planted, 12345, 12345)
    else:
        pytest.skip("only root gives files away")
    refused = pytest.raises(AgentError, match=rf"{planted} is no plain file of this account's alone; remove it there")
    with refused if name == "lock" else nullcontext():  # who measures must mark it, and is refused then
        (lock := on_device(tmp_path, "token")).acquire("pi", 0, lambda _: None)
    lock.release()  # or its agent outlives the test
    assert victim.read_bytes() == before


def test_whoever_waits_for_a_device_that_is_cleaned_gets_its_new_lock(tmp_path: Path) -> None:
    cleaner, waiter, third = (on_device(tmp_path, token) for token in ("first", "second", "third"))
    waits, said = threading.Event(), []

    def say(message: str) -> None:
        said.append(message)
        waits.set()

    cleaner.acquire("pi", 0, say)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(waiter.acquire, "pi", 60, say)
        assert waits.wait(60)
        shutil.rmtree(tmp_path / "root")
        (tmp_path / "root").mkdir()
        cleaner.release()
        waiting.result(60)
    assert re.fullmatch(r"device pi is in use by the first run \(.*\) since 2\S+ \S+", said[0])
    with pytest.raises(DeviceBusy, match="the second run"):
        third.acquire("pi", 0, said.append)
    waiter.release()
