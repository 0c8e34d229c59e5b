"""Pushes and pulls over adb: cut, stalled, out of room, slow, and gone on with."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import TransferError
from harness.transports.adb.transport import AdbTransport
from tests.rigs.adbd import AdbServer, Device, Phone
from tests.rigs.waiting import wait_until


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of 8 MiB."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(8 << 20))
    return path


@pytest.fixture
def there(tmp_path: Path) -> Iterator[PurePosixPath]:
    """Where a file goes on the phone; what lies beside it in the end is told when a test fails."""
    folder = tmp_path / "phone"
    yield PurePosixPath(folder / "file")
    print(sorted(path.name for path in folder.glob("*")))


def test_a_cut_push_leaves_nothing_and_goes_on_later(
    adb_transport: AdbTransport, phone: Phone, large: Path, there: PurePosixPath
) -> None:
    phone.faults.cut_after = 6 << 20
    with pytest.raises(TransferError, match=r"large cannot be copied to .*file.*went away while"):
        adb_transport.push(large, there)
    assert not Path(there).exists()
    before = phone.device.bytes_in
    adb_transport.push(large, there)
    assert Path(there).read_bytes() == large.read_bytes()
    assert phone.device.bytes_in - before < 7 << 20
    assert [path.name for path in Path(there).parent.iterdir()] == ["file"]


def test_a_part_that_is_not_the_beginning_is_sent_again(
    adb_transport: AdbTransport, large: Path, there: PurePosixPath
) -> None:
    part = Path(there).parent / f".file.{8 << 20}.part"
    part.parent.mkdir()
    for left_over in (b"something else", bytes(9 << 20)):
        Path(there).unlink(missing_ok=True)
        part.write_bytes(left_over)
        adb_transport.push(large, there)
        assert Path(there).read_bytes() == large.read_bytes()


@pytest.mark.parametrize("size", [1000, 8 << 20])
def test_a_second_push_sends_nothing_and_mends_what_is_damaged(
    adb_transport: AdbTransport, phone: Phone, tmp_path: Path, there: PurePosixPath, size: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    adb_transport.push(source, there)
    before, modified = phone.device.bytes_in, Path(there).stat().st_mtime_ns
    adb_transport.push(source, there)
    assert phone.device.bytes_in - before < 10_000
    assert Path(there).stat().st_mtime_ns == modified
    Path(there).write_bytes(bytes(size))
    adb_transport.push(source, there)
    assert Path(there).read_bytes() == source.read_bytes()
    assert [path.name for path in Path(there).parent.iterdir()] == ["file"]


def test_what_is_left_of_a_cut_push_writes_no_more(
    adb_transport: AdbTransport, large: Path, there: PurePosixPath
) -> None:
    part = Path(there).parent / f".file.{8 << 20}.part"
    part.parent.mkdir()
    part.write_bytes(large.read_bytes()[:1000])
    left = adb_transport.stream(["sh", "-c", f"echo up; read line; echo junk >> {part}"], stdin=b"")
    assert left.read_line(60) == b"up"
    adb_transport.push(large, there)
    assert left.close().exit_code is None
    assert Path(there).read_bytes() == large.read_bytes()


def test_a_push_to_a_device_that_hangs(
    adb_transport: AdbTransport, phone: Phone, large: Path, there: PurePosixPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.transports.adb.connection.KILL_S", 0.5)
    adb_transport.connection.timeout_s = 2
    phone.faults.stall_after = 3 << 20
    begun = time.monotonic()
    with pytest.raises(TransferError, match=r"nothing moved for 2 s"):
        adb_transport.push(large, there)
    assert time.monotonic() - begun < 45
    assert not Path(there).exists()
    phone.faults.stalled = False
    adb_transport.push(large, there)
    assert Path(there).read_bytes() == large.read_bytes()


def test_a_full_disk(adb_transport: AdbTransport, phone: Phone, large: Path, there: PurePosixPath) -> None:
    phone.faults.disk_bytes = 1 << 20
    large.write_bytes(bytes(32 << 20))
    with pytest.raises(TransferError, match=r"File too large"):
        adb_transport.push(large, there)
    assert list(Path(there).parent.iterdir()) == []
    assert phone.device.bytes_in < 24 << 20  # it did not go on sending


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk that is really full is mounted by root")
def test_a_disk_that_is_really_full(adb_transport: AdbTransport, large: Path, there: PurePosixPath) -> None:
    folder = Path(there).parent
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        with pytest.raises(TransferError, match=r"No space left on device"):
            adb_transport.push(large, there)
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_made(adb_transport: AdbTransport, large: Path, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match=r"Not a directory|File exists"):
        adb_transport.push(large, PurePosixPath(tmp_path / "large" / "file"))


def test_a_slow_link_is_no_fault(adb_transport: AdbTransport, phone: Phone, large: Path, there: PurePosixPath) -> None:
    phone.faults.bytes_per_s = 6e6
    phone.faults.latency_s = 0.002
    adb_transport.connection.timeout_s = 2
    adb_transport.push(large, there)
    assert Path(there).read_bytes() == large.read_bytes()


def test_without_sha256sum_the_size_is_compared(adb_server: AdbServer, tmp_path: Path, large: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("cat", "mkdir", "mv", "rm", "stat", "tee", "wc"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    with Phone(Device(environment={"PATH": str(tools)})) as phone:
        transport = AdbTransport(phone.serial, port=adb_server.port)
        transport.push(large, PurePosixPath(tmp_path / "there"))
        assert transport.connection.checks_by == "size"
        transport.close()
    assert (tmp_path / "there").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("missing", ["tee", "mv"])
def test_what_the_phone_s_shell_lacks(adb_server: AdbServer, tmp_path: Path, large: Path, missing: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in {"cat", "mkdir", "mv", "rm", "sha256sum", "stat", "tee", "wc"} - {missing}:
        (tools / name).symlink_to(f"/usr/bin/{name}")
    there = PurePosixPath(tmp_path / "there")
    with Phone(Device(environment={"PATH": str(tools)})) as phone:
        transport = AdbTransport(phone.serial, port=adb_server.port)
        if missing == "tee":  # it takes two steps then
            transport.push(large, there)
            assert transport.connection.checks_by == "sha256"
            assert Path(there).read_bytes() == large.read_bytes()
        else:
            with pytest.raises(TransferError, match=f"its shell has no {missing}"):
                transport.push(large, there)
        transport.close()


def test_a_push_to_a_shell_that_floods_ends(adb_server: AdbServer, tmp_path: Path, large: Path) -> None:
    shell = ("/bin/sh", "-c", "echo edgebench:$$ >&2; exec yes >&2")
    with Phone(Device(shell=shell)) as phone:
        transport = AdbTransport(phone.serial, port=adb_server.port, timeout_s=1)
        with pytest.raises(TransferError, match="no answer for"):
            transport.push(large, PurePosixPath(tmp_path / "there"))
        with pytest.raises(TransferError, match="nothing moved for 1 s"):
            transport.pull(PurePosixPath("/dev/zero"), tmp_path / "back")
        transport.close()


def test_a_pull_that_fails_leaves_nothing(adb_transport: AdbTransport, phone: Phone, large: Path) -> None:
    back = large.with_name("back")
    with pytest.raises(TransferError, match=r"nothing cannot be copied from .*: .*No such file"):
        adb_transport.pull(PurePosixPath("/nothing"), back)

    def unplug_when_it_comes() -> None:
        wait_until(lambda: any(part.stat().st_size for part in large.parent.glob(".*part")))
        phone.unplug()

    unplugging = threading.Thread(target=unplug_when_it_comes, daemon=True)
    unplugging.start()
    with pytest.raises(TransferError, match=r"went away while a file was copied"):
        adb_transport.pull(PurePosixPath("/dev/zero"), back)
    unplugging.join(10)
    assert not back.exists()
    assert list(large.parent.glob(".*part")) == []


def test_a_pull_without_end(adb_transport: AdbTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.transports.adb.files.MAX_PULL_BYTES", 1 << 20)
    with pytest.raises(TransferError, match=r"larger than 1048576 bytes"):
        adb_transport.pull(PurePosixPath("/dev/zero"), tmp_path / "back")
    assert not (tmp_path / "back").exists()
