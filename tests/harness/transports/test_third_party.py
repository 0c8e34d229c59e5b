"""A transport that another package brings, by a real entry point: from devices.toml to a measured row."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.fleet import devices as fleet
from harness.transports import table
from tests.rigs.bench import DATA, ROOT, Bench

_MODULE = '''
"""Another machine, as far as bench can tell."""

from typing import ClassVar

from pydantic import Field

from harness.transports.kind import Kind
from harness.transports.local import LocalTransport


class Pigeon(Kind):
    root: ClassVar[str] = "FOLDER"

    loft: str = Field(min_length=2)
    altitude_m: int = 100

    def connect(self, device, known_hosts):
        transport = LocalTransport()
        transport.shared = True
        return transport

    def where(self, device):
        return f"{device.name} in {self.loft}"

    @classmethod
    def fields_of(cls, name, target):
        return {"loft": target}
'''


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A host where the package `pigeons` is installed, with one device of its transport."""
    packages, folder = tmp_path / "packages", tmp_path / "host"
    (packages / "pigeons-1.0.dist-info").mkdir(parents=True)
    (packages / "pigeons.py").write_text(_MODULE.replace("FOLDER", str(tmp_path / "device")))
    (packages / "pigeons-1.0.dist-info" / "METADATA").write_text("Name: pigeons\nVersion: 1.0\n")
    points = "[edgebench.transports]\npigeon = pigeons:Pigeon\nbroken = pigeons:Nothing\n"
    (packages / "pigeons-1.0.dist-info" / "entry_points.txt").write_text(points)
    (folder / "tmp").mkdir(parents=True)
    (folder / "tiny.onnx").write_bytes((DATA / "tiny.onnx").read_bytes())
    (folder / "devices.toml").write_text(
        f'[devices.bird]\ntransport = "pigeon"\nloft = "Brussels"\npython = "{sys.executable}"\n'
    )
    return Bench(folder, {"PYTHONPATH": f"{ROOT}:{packages}", "TMPDIR": str(folder / "tmp")})


def test_it_is_listed_checked_and_measured_on(bench: Bench, tmp_path: Path) -> None:
    (listed,) = bench.json("devices", "list")["devices"]
    assert (listed["transport"], listed["loft"], listed["altitude_m"]) == ("pigeon", "Brussels", 100)
    assert "bird in Brussels" in bench("devices", "list").stdout
    assert "loft: Brussels" in bench("devices", "show", "bird").stdout
    (checked,) = bench.json("devices", "check")["devices"]
    assert checked["works"] == ["it can be reached", f"{sys.executable} runs the agent"]
    (row,) = bench.rows("run", "--device", "bird", "--models", "tiny.onnx", "--backends", "fake")
    assert row["device"] == "bird"
    assert row["n_restarts"] > 0
    assert (tmp_path / "device" / "edgebench" / "agent").is_dir()


def test_it_is_added_and_forgotten(bench: Bench) -> None:
    add = ("devices", "add", "second", "--transport", "pigeon", "--field")
    assert "second (second in Ghent) is added" in bench(*add, "loft=Ghent", "--field", "altitude_m=5").stdout
    assert bench.json("devices", "show", "second")["device"]["altitude_m"] == 5
    bench("devices", "forget", "second")
    assert [device["name"] for device in bench.json("devices", "list")["devices"]] == ["bird"]
    assert "is not KEY=VALUE" in bench(*add, "loft", expect=2).stderr
    assert (
        "altitude_m: input should be a valid integer"
        in bench(*add, "loft=Ghent", "--field", "altitude_m=high", expect=2).stderr
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('transport = "pigeon"\n', "devices.toml:1: devices.bird.loft: this field is missing"),
        ('transport = "pigeon"\nloft = ""\n', "devices.toml:3: devices.bird.loft: string should have at least 2"),
        ('transport = "ssh"\nloft = "x"\n', "only a device with transport 'pigeon' has this, not one with 'ssh'"),
        ('transport = "pigeon"\nloft = "xy"\nhost = "x"\n', "only a device with transport 'ssh' has this"),
        ('transport = "pigeon"\nlofft = "xy"\n', "unknown field, did you mean loft? Known fields: loft, altitude_m,"),
        (
            'transport = "pigon"\n',
            "devices.toml:2: devices.bird.transport: no transport is called 'pigon'; did you mean",
        ),
        ('transport = "broken"\n', "the transport broken cannot be loaded: pigeons:Nothing: "),
    ],
)
def test_mistakes_are_told_as_for_the_others(bench: Bench, text: str, message: str) -> None:
    (bench.folder / "devices.toml").write_text(f"[devices.bird]\n{text}")
    assert message in bench("devices", "list", expect=2).stderr


def test_nothing_is_imported_for_devices_that_are_only_named() -> None:
    code = (
        "import sys\nfrom harness.fleet.devices import make\n"
        "[make(name, {'transport': name}) for name in ('local', 'ssh', 'adb')]\n"
        "print({'paramiko', 'harness.transports.adb.server', 'harness.transports.ssh.address'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_device_is_written_as_it_is_read() -> None:
    device = fleet.make("box", {"transport": "ssh", "host": "box.lan", "class": "pi", "timeout_s": 5})
    written = device.model_dump(by_alias=True)
    assert list(written)[:3] == ["name", "transport", "host"]
    assert fleet.Device.model_validate(written) == device
    assert set(table.find("ssh").model_fields) <= set(written)
