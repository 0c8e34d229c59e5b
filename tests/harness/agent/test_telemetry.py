"""What the agent reads of a device's state and of what it is, from trees of files as devices have them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.agent import telemetry
from harness.agent.identity import identity
from results.records import DeviceIdentity, Telemetry
from tests.rigs.sysfs import write_jetson, write_pi


def put(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_a_snapshot_holds_what_each_source_tells(tmp_path: Path) -> None:
    write_pi(tmp_path)
    write_jetson(tmp_path)
    put(tmp_path, "proc/loadavg", "0.52 0.58 0.59 1/900 4711\n")
    put(tmp_path, "proc/stat", "cpu  1 2 3 4 5 6 7 88 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    assert telemetry.snapshot(str(tmp_path)) == {
        "power_mode": "25W",
        "governor": ["ondemand"],
        "frequency_khz": [1500000.0] * 4,
        "temperature_c": {"cpu-thermal": pytest.approx(48.212)},
        "load_1min": 0.52,
        "steal_ticks": 88.0,
    }


def test_what_a_device_does_not_have_is_unknown(tmp_path: Path) -> None:
    put(tmp_path, "proc/loadavg", "")
    put(tmp_path, "proc/stat", "intr 1 2\n")
    assert telemetry.snapshot(str(tmp_path)) == dict.fromkeys(telemetry.KEYS, "unknown")
    assert Telemetry.of(telemetry.snapshot(str(tmp_path))) == Telemetry()


def test_a_source_that_fails_costs_its_own_readings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_root: str) -> dict[str, object]:
        raise RuntimeError("the driver is broken")

    put(tmp_path, "proc/loadavg", "0.5 1 1 1/1 1")
    broken = SimpleNamespace(read=read, __name__="broken")
    monkeypatch.setattr(telemetry, "READERS", (broken, *telemetry.READERS))
    said = telemetry.snapshot(str(tmp_path))
    assert (said["load_1min"], said["errors"]) == (0.5, ["broken: the driver is broken"])


def hashed(source: str, serial: str) -> str:
    return hashlib.sha256(f"{source} {serial}".encode()).hexdigest()


DEVICE_TREE = "sys/firmware/devicetree/base/serial-number"


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({DEVICE_TREE: "10000000abcd\0", "etc/machine-id": "f" * 8 + "a1"}, DEVICE_TREE),
        ({"sys/class/dmi/id/product_uuid": "03000200-04", "etc/machine-id": "aaa1"}, "sys/class/dmi/id/product_uuid"),
        ({"sys/class/dmi/id/board_serial": "To be filled by O.E.M.", "etc/machine-id": "aaa1"}, "etc/machine-id"),
        ({DEVICE_TREE: "0000000000000000\0", "etc/machine-id": "aaa1\n"}, "etc/machine-id"),
        ({DEVICE_TREE: "f" * 256, "etc/machine-id": "aaa1\n"}, "etc/machine-id"),
        ({"system/build.prop": "ro.serialno=HT7A1\n", "etc/machine-id": "aaa1"}, "android: ro.serialno"),
        ({"etc/machine-id": ""}, None),
        ({}, None),
    ],
)
def test_the_hardware_is_known_by_a_hash_of_its_own_number(
    tmp_path: Path, files: dict[str, str], source: str | None
) -> None:
    for name, content in files.items():
        put(tmp_path, name, content)
    said = DeviceIdentity.of(identity(str(tmp_path)))
    if source is None:
        assert said.hardware_id is None
    else:
        serial = files.get(source, "HT7A1").strip("\0\n")
        assert said.hardware_id == hashed(source, serial)
        assert serial not in str(identity(str(tmp_path)))


def test_a_board_and_its_system_are_told(tmp_path: Path) -> None:
    write_pi(tmp_path)
    put(tmp_path, "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    said = DeviceIdentity.of(identity(str(tmp_path)))
    assert (said.board, said.os_build) == ("Raspberry Pi 4 Model B Rev 1.4", "Debian GNU/Linux 12 (bookworm)")
    assert said.cpus
    assert said.memory_bytes


def test_a_phone_is_asked_for_what_its_files_do_not_tell(tmp_path: Path) -> None:
    getprop = tmp_path / "system/bin/getprop"
    put(tmp_path, "system/bin/getprop", '#!/bin/sh\necho "value of $1"\n')
    getprop.chmod(0o755)
    said = identity(str(tmp_path))
    assert (said["board"], said["os_build"]) == ("value of ro.product.model", "value of ro.build.fingerprint")
    assert said["hardware_id"] == hashed("android: ro.serialno", "value of ro.serialno")


def test_this_machine_tells_what_it_is() -> None:
    said = DeviceIdentity.of(identity())
    assert said == DeviceIdentity.of(identity())
    assert said.machine
    assert said.kernel
