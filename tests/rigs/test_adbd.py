"""The rig's phone, as the real adb client sees it."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.rigs.adbd import AdbServer, Device, Phone
from tests.rigs.waiting import wait_until


def test_a_shell_keeps_streams_and_exit_code_apart(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    done = adb_server.client("shell", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)
    assert adb_server.client("shell", "-x", "echo out; echo err >&2; exit 7").stdout == "out\nerr\n"


def test_a_shell_reads_standard_input_to_its_end(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    command = [adb_server.adb, "shell", "wc -c"]
    done = subprocess.run(command, env=adb_server.environment, input=bytes(3_000_000), capture_output=True, check=True)
    assert done.stdout.strip() == b"3000000"
    command = [adb_server.adb, "exec-out", "printf 'a\\r\\nb'"]
    assert subprocess.run(command, env=adb_server.environment, capture_output=True, check=True).stdout == b"a\r\nb"


def test_files_and_folders_travel_both_ways(adb_server: AdbServer, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(os.urandom(1_500_000))
    with Phone(Device(root=tmp_path / "phone")) as phone:
        phone.device.root.mkdir()
        adb_server.connect(phone)
        assert adb_server.client("push", str(folder), "/sdcard/../there").returncode == 0
        assert adb_server.client("ls", "/there").stdout.split()[-1] == "deep"
        assert adb_server.client("pull", "/there", str(tmp_path / "back")).returncode == 0
        assert "No such file" in adb_server.client("pull", "/../nothing", str(tmp_path / "no")).stderr
    assert (tmp_path / "back" / "deep" / "file").read_bytes() == (folder / "deep" / "file").read_bytes()


def test_a_full_disk_is_told_to_the_client(adb_server: AdbServer, phone: Phone, tmp_path: Path) -> None:
    adb_server.connect(phone)
    phone.faults.disk_bytes = 1 << 20
    (tmp_path / "large").write_bytes(bytes(4 << 20))
    pushed = adb_server.client("push", str(tmp_path / "large"), str(tmp_path / "there"))
    assert pushed.returncode == 1
    assert "No space left on device" in pushed.stderr + pushed.stdout
    assert not (tmp_path / "there").exists()
    assert adb_server.client("shell", f"cat {tmp_path}/large > {tmp_path}/there").returncode != 0


def test_a_forwarded_port_reaches_the_phone(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)

    def serve() -> None:
        with service.accept()[0] as accepted:
            accepted.sendall(b"from the phone")

    with socket.create_server(("127.0.0.1", 0)) as service:
        threading.Thread(target=serve, daemon=True).start()
        there = service.getsockname()[1]
        here = adb_server.client("forward", "tcp:0", f"tcp:{there}").stdout.strip()
        with socket.create_connection(("127.0.0.1", int(here)), 5) as connection:
            assert connection.recv(100) == b"from the phone"


@pytest.mark.parametrize(("accepts", "state"), [(True, "device"), (False, "unauthorized")])
def test_a_new_computer_is_accepted_or_not(adb_server: AdbServer, accepts: bool, state: str) -> None:
    with Phone(Device(asks_for_key=True, accepts_new_keys=accepts)) as phone:
        adb_server.connect(phone, state)
        assert phone.asked_for("new key")[0] is accepts
        if accepts:
            phone.device.log.clear()
            adb_server.client("disconnect", phone.serial)
            adb_server.connect(phone)
            assert phone.asked_for("new key") == []  # its signature was enough


def test_a_phone_that_says_nothing_is_offline(adb_server: AdbServer, phone: Phone) -> None:
    phone.faults.offline = True
    threading.Thread(target=adb_server.client, args=("connect", phone.serial), daemon=True).start()
    wait_until(lambda: f"{phone.serial}\toffline" in adb_server.client("devices").stdout)


def test_a_reboot_ends_what_runs_and_comes_back(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    command = [adb_server.adb, "shell", "echo up; sleep 60"]
    with subprocess.Popen(command, env=adb_server.environment, stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stdout.readline() == b"up\n"
        assert adb_server.client("reboot").returncode == 0
        assert running.wait(120) == 255
    adb_server.connect(phone)
    assert adb_server.client("shell", "echo back").stdout == "back\n"


def test_a_cut_happens_once_and_after_so_many_bytes(adb_server: AdbServer, phone: Phone, tmp_path: Path) -> None:
    adb_server.connect(phone)
    (tmp_path / "large").write_bytes(bytes(4 << 20))
    phone.faults.cut_after = 1 << 20
    assert adb_server.client("push", str(tmp_path / "large"), str(tmp_path / "there")).returncode == 1
    adb_server.connect(phone)
    assert adb_server.client("push", str(tmp_path / "large"), str(tmp_path / "there")).returncode == 0


def test_a_slow_phone_is_slow(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    phone.faults.latency_s = 0.1
    begun = time.monotonic()
    assert adb_server.client("shell", "exit 3").returncode == 3
    assert time.monotonic() - begun > 0.2


def test_a_shell_can_be_killed_under_the_client(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    phone.faults.kill_shells_after_s = 0.1
    assert adb_server.client("shell", "exec sleep 60").returncode == 128 + 9
