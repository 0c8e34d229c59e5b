"""`bench` with a phone over the real adb server: measured, lost in mid-run, resumed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.bench import Bench

FAKE = ("--device", "phone", "--models", "tiny.onnx", "--backends", "fake")


@pytest.fixture
def host(tmp_path: Path, adb_server: AdbServer, phone: Phone) -> Bench:
    """A host with a devices.toml that names the phone."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "devices.toml").write_text(
        f'[devices.phone]\ntransport = "adb"\nserial = "{phone.serial}"\nadb_port = {adb_server.port}\n'
        f'python = "{sys.executable}"\nroot = "{tmp_path}/there"\n'
    )
    bench = Bench(tmp_path, {"TMPDIR": str(tmp_path / "tmp")})
    bench.copy_model()
    return bench


def test_a_second_run_sends_no_model(host: Bench, phone: Phone) -> None:
    (row,) = host.rows("run", "--device", "phone", "--models", "tiny.onnx", "--backends", "onnxruntime")
    assert (row["device"], row["n_restarts"]) == ("phone", 2)
    before = len(phone.asked_for("shell"))
    host.rows("run", *FAKE)
    pushed = [line for line in phone.asked_for("shell")[before:] if ".part" in line]
    assert all("agent-" in line for line in pushed)


def test_a_phone_that_reboots_in_mid_run_is_measured_on(host: Bench, phone: Phone, tmp_path: Path) -> None:
    process = host.start("run", *FAKE, "--threads", "1,2", "--json")
    deadline = time.monotonic() + 60
    while not any(path.read_text().count("\n") > 1 for path in tmp_path.glob(".bench/runs/*/journal.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    phone.reboot()
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stdout + stderr
    assert stdout.count('"n_restarts": 2') == 2


def test_a_phone_that_is_not_there_is_offline_until_the_run_is_resumed(host: Bench, phone: Phone) -> None:
    phone.unplug()
    (row,) = host.rows("run", *FAKE, expect=2)
    assert (row["verdict"], row["n_restarts"]) == ("offline", 0)
    assert "no device" in row["reason"]
    phone.plug_in()
    (row,) = host.rows("run", "--resume", "last")
    assert row["n_restarts"] == 2
