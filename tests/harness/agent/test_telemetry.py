"""What the agent reads of a device's state and of what it is, from trees of files as devices have them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.agent import programs, telemetry
from harness.agent.identity import identity
from harness.agent.telemetry import android, cgroup, cpu, cpufreq, energy, power, raspberry, thermal
from results.records import DeviceIdentity, Telemetry
from tests.rigs.sysfs import write_jetson, write_pi, write_services


def put(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_a_snapshot_holds_what_each_source_tells(tmp_path: Path) -> None:
    write_pi(tmp_path)
    write_jetson(tmp_path)
    put(tmp_path, "proc/loadavg", "0.52 0.58 0.59 3/900 4711\n")
    put(tmp_path, "proc/stat", "cpu  1 2 3 4 5 6 7 88 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    put(tmp_path, "proc/pressure/cpu", "some avg10=0.00 avg60=0.10 avg300=0.00 total=4711\nfull avg10=0 total=5\n")
    said = telemetry.snapshot(str(tmp_path))
    assert said.pop("own_ticks") > 0
    assert abs(said.pop("wall_ns") - time.time_ns()) < 60 * 10**9
    assert abs(said.pop("monotonic_ns") - time.monotonic_ns()) < 60 * 10**9
    assert said == {
        "power_mode": "25W",
        "governor": ["ondemand"],
        "frequency_khz": [1500000.0] * 4,
        "frequency_least_khz": [600000.0] * 4,
        "frequency_limit_khz": [1500000.0] * 4,
        "frequency_most_khz": [1500000.0] * 4,
        "temperature_c": {"cpu-thermal": pytest.approx(48.212)},
        "throttle_bits": 0,
        "load_1min": 0.52,
        "runnable": 3.0,
        "busy_ticks": 19,
        "idle_ticks": 9,
        "steal_ticks": 88,
        "pressure_us": 4711.0,
    }
    assert Telemetry.of(said).model_dump(mode="json", exclude_none=True) == said


def test_what_a_device_does_not_have_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "proc/loadavg", "")
    put(tmp_path, "proc/stat", "intr 1 2\n")
    assert set(telemetry.snapshot(str(tmp_path))) == {"wall_ns", "monotonic_ns"}
    assert Telemetry.of({}) == Telemetry()


def test_every_reading_has_its_field() -> None:
    said = telemetry.snapshot()
    assert set(said) <= set(Telemetry.model_fields)
    assert "errors" not in said
    assert Telemetry.of(said).busy_ticks == said["busy_ticks"]


def test_the_cores_of_a_phone_have_policies_of_their_own(tmp_path: Path) -> None:
    base = "sys/devices/system/cpu"
    for core in range(12):
        policy, most = ("policy0", 1800000) if core < 8 else ("policy8", 2800000)
        put(tmp_path, f"{base}/cpufreq/{policy}/cpuinfo_max_freq", str(most))
        put(tmp_path, f"{base}/cpufreq/{policy}/scaling_governor", "schedutil")
        put(tmp_path, f"{base}/cpu{core}/online", "1")
        (tmp_path / f"{base}/cpu{core}/cpufreq").symlink_to(f"../cpufreq/{policy}")
    assert cpufreq.read(str(tmp_path)) == {
        "governor": ["schedutil"],
        "frequency_most_khz": [1800000.0] * 8 + [2800000.0] * 4,  # core 10 stands behind core 9
    }


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"devices/system/cpu/cpufreq/boost": "0"}, {"boost": False}),
        ({"devices/system/cpu/intel_pstate/no_turbo": "0"}, {"boost": True}),
        ({"devices/system/cpu/smt/active": "1"}, {"smt": True}),
        ({"devices/system/cpu/smt/active": "off"}, {}),
        ({"hypervisor/type": "xen"}, {"virtual": True}),
        ({"../proc/cpuinfo": "processor: 0\nflags\t\t: fpu hypervisor vme\n"}, {"virtual": True}),
        ({"../proc/cpuinfo": "processor: 0\nflags\t\t: fpu vme\n"}, {"virtual": False}),
        (
            {f"devices/system/cpu/cpu{n}/thermal_throttle/package_throttle_total_time_ms": f"{n}7" for n in (0, 1)},
            {"hot_ms": 17.0},
        ),
    ],
)
def test_what_a_processor_is_and_does_by_itself(tmp_path: Path, files: dict[str, str], told: dict[str, Any]) -> None:
    for name, content in files.items():
        put(tmp_path / "sys", name, content)
    assert cpu.read(str(tmp_path)) == told


def test_cooling_devices_tell_how_hard_they_work(tmp_path: Path) -> None:
    states = {
        "0": ("cpufreq-cpu0", "3", "12"),
        "1": ("cpufreq-cpu0", "0", "12"),
        "2": ("intel_powerclamp", "-1", "100"),
    }
    for number, parts in states.items():
        for name, content in zip(("type", "cur_state", "max_state"), parts, strict=True):
            put(tmp_path, f"sys/class/thermal/cooling_device{number}/{name}", content)
    said = thermal.read(str(tmp_path))
    assert said == {"cooling": {"cpufreq-cpu0": 0.25, "intel_powerclamp": "unknown"}}
    assert Telemetry.of(said).cooling == {"cpufreq-cpu0": 0.25}


SUPPLIES = {
    "AC": {"type": "Mains", "online": "0"},
    "BAT0": {"type": "Battery", "status": "Discharging", "capacity": "81", "temp": "312"},
    "hid-mouse": {"type": "Battery", "scope": "Device", "capacity": "3"},
    "ucsi": {"type": "USB_PD", "online": "0"},
}


@pytest.mark.parametrize(
    ("online", "source"), [((), ["battery"]), (("AC",), ["mains"]), (("AC", "ucsi"), ["mains", "usb"])]
)
def test_where_the_power_comes_from(tmp_path: Path, online: tuple[str, ...], source: list[str]) -> None:
    for name, supply in SUPPLIES.items():
        told = {**supply, **({"online": "1"} if name in online else {})}
        for file, content in told.items():
            put(tmp_path, f"sys/class/power_supply/{name}/{file}", content)
    said = power.read(str(tmp_path))
    assert said == {"power_source": source, "battery_percent": 81.0, "battery_c": pytest.approx(31.2)}


def test_meters_of_energy_and_power(tmp_path: Path) -> None:
    for zone, name in (("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core"), ("intel-rapl:1", "package-1")):
        put(tmp_path, f"sys/class/powercap/{zone}/name", name)
        put(tmp_path, f"sys/class/powercap/{zone}/max_energy_range_uj", "262143328850")
    put(tmp_path, "sys/class/powercap/intel-rapl:0/energy_uj", "123456789012")  # the others only root may read
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "nvme")
    put(tmp_path, "sys/class/hwmon/hwmon0/power1_input", "1")
    sensor = {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1400", "in2_input": "5000"}
    for file, content in sensor.items():
        put(tmp_path, f"sys/class/hwmon/hwmon1/{file}", content)
    put(tmp_path, "sys/class/hwmon/hwmon2/name", "ina226")
    put(tmp_path, "sys/class/hwmon/hwmon2/power1_input", "2500000")
    said = energy.read(str(tmp_path))
    assert said["energy_uj"] == {"intel-rapl:0 package-0": 123456789012.0}
    assert set(said["energy_range_uj"]) == {"intel-rapl:0 package-0", "intel-rapl:0:0 core", "intel-rapl:1 package-1"}
    assert said["power_w"] == {"VDD_IN": pytest.approx(7.0), "hwmon2 power": 2.5}


SECOND = {
    "cpu.max": "150000 100000",
    "cpu.stat": "usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 70000\n",
}
ABOVE = {"cpu.max": "max 100000", "cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"}
FIRST = {
    "cpu.cfs_quota_us": "50000",
    "cpu.cfs_period_us": "100000",
    "cpu.stat": "nr_periods 10\nnr_throttled 4\nthrottled_time 70000000\n",
}
WITHOUT = {**FIRST, "cpu.cfs_quota_us": "-1", "cpu.stat": "nr_periods 1\nnr_throttled 1\nthrottled_time 1000\n"}
THROTTLED = {"quota_periods": 10, "quota_throttled_periods": 4, "quota_throttled_us": 70000}
SUM = {"quota_periods": 11, "quota_throttled_periods": 5, "quota_throttled_us": 70001}


@pytest.mark.parametrize(
    ("own", "mounts", "groups", "told"),
    [
        # the second version, in a group below one without a limit
        (
            "0::/user.slice/box\n",
            ["/ /sys/fs/cgroup rw - cgroup2 cgroup2 rw"],
            {"": {}, "user.slice": ABOVE, "user.slice/box": SECOND},
            {"cpu_quota": 1.5, **THROTTLED},
        ),
        # the limit is that of the group above
        (
            "0::/box/inner\n",
            ["/ /sys/fs/cgroup rw - cgroup2 cgroup2 rw"],
            {"box": SECOND, "box/inner": ABOVE},
            {"cpu_quota": 1.5, **THROTTLED},
        ),
        # the first version as a container sees it: its own group is the root of the mount
        (
            "4:cpu,cpuacct:/docker/77\n3:memory:/docker/77\n0::/\n",
            [
                "/docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
                "/docker/77 /sys/fs/cgroup/cpu ro master:9 - cgroup cgroup rw,cpu,cpuacct",
                "/docker/77 /other/cpu ro master:9 - cgroup cgroup rw,cpu,cpuacct",
            ],
            {"cpu": FIRST},
            {"cpu_quota": 0.5, **THROTTLED},
        ),
        # and in a name space of its own, inside a group with another count
        (
            "2:cpu:/a/../b\n0::/\n",
            ["/ /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", "/ /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"],
            {"cpu": WITHOUT, "cpu/b": FIRST, "unified": {"cpu.stat": "usage_usec 7"}},
            {"cpu_quota": 0.5, **SUM},
        ),
        ("2:memory:/a\n", ["/ /sys/fs/cgroup rw - cgroup cgroup rw,memory"], {"a": FIRST}, {}),
        ("nonsense", ["nonsense - cgroup2", "- cgroup"], {"": SECOND}, {}),
    ],
)
def test_the_quota_of_the_control_groups(
    tmp_path: Path, own: str, mounts: list[str], groups: dict[str, dict[str, str]], told: dict[str, float]
) -> None:
    put(tmp_path, "proc/self/cgroup", own)
    put(tmp_path, "proc/self/mountinfo", "".join(f"36 35 98:0 {mount}\n" for mount in mounts))
    for group, files in groups.items():
        for name, content in files.items():
            put(tmp_path, f"sys/fs/cgroup/{group}/{name}", content)
    assert cgroup.read(str(tmp_path)) == told


def program(root: Path, name: str, script: str) -> None:
    put(root, name, f"#!/bin/sh\n{script}\n")
    (root / name).chmod(0o755)


@pytest.mark.parametrize(
    ("said", "bits"),
    [("throttled=0x50005", 0x50005), ("throttled=0x0", 0), ("error=1 error_msg=...", None), ("", None)],
)
def test_a_raspberry_pi_s_firmware_is_asked(tmp_path: Path, said: str, bits: int | None) -> None:
    program(
        tmp_path,
        "usr/bin/vcgencmd",
        f'test "$1" = get_throttled && echo "{said}" || {{ test "$2" = arm && echo "frequency(48)=600117184"; }}',
    )
    assert raspberry.read(str(tmp_path)) == {
        **({} if bits is None else {"throttle_bits": bits}),
        "firmware_khz": pytest.approx(600117.184),
    }
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "e0000\n")  # needs no program
    assert raspberry.read(str(tmp_path))["throttle_bits"] == 0xE0000


def test_a_phone_s_services_are_asked(tmp_path: Path) -> None:
    write_services(tmp_path, status=3)
    program(tmp_path, "system/bin/dumpsys", f'cat "{tmp_path}/dumpsys-$1"')
    told = Telemetry.of(android.read(str(tmp_path)))
    assert (told.thermal_status, told.temperature_c) == (3, {"AP": 41.5})
    assert (told.battery_percent, told.battery_c, told.power_source) == (85, pytest.approx(31.2), ("usb",))
    said = (tmp_path / "dumpsys-battery").read_text()
    (tmp_path / "dumpsys-battery").write_text(said.replace("USB powered: true", "USB powered: false"))
    assert android.read(str(tmp_path))["power_source"] == ["battery"]
    program(tmp_path, "system/bin/dumpsys", 'echo "Can\'t find service: $1"')
    assert android.read(str(tmp_path)) == {}


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 60",
        "sleep 60 & exit 0",  # a child of its holds the pipe
        "exec >&-; exec sleep 60",
        "exec cat /dev/zero",
        "echo throttled=0x5; exit 3",
    ],
)
def test_a_program_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program(tmp_path, "program", script)
    monkeypatch.setattr(programs, "LIMIT_S", 0.2)
    begun = time.monotonic()
    assert programs.printed(str(tmp_path / "program")) == ""
    assert time.monotonic() - begun < 30  # not the minute that it would take
    assert programs.printed(str(tmp_path / "none")) == ""


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
