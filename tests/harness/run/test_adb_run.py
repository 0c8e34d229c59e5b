"""`bench` with a phone over the real adb server: measured, lost in mid-run, resumed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.rigs.adbd import AdbServer, Device, Phone
from tests.rigs.bench import Bench
from tests.rigs.campaign import Campaign, asked_for, run_over_a_bad_link
from tests.rigs.proxy import between
from tests.rigs.waiting import SILENCE_S, wait_until

FAKE = ("--device", "phone", "--models", "tiny.onnx", "--backends", "fake")


def make_host(folder: Path, adb_server: AdbServer, serial: str, extra: str = "") -> Bench:
    """A host with a devices.toml that names the phone."""
    (folder / "tmp").mkdir()
    (folder / "devices.toml").write_text(
        f'[devices.phone]\ntransport = "adb"\nserial = "{serial}"\nadb_port = {adb_server.port}\n'
        f'python = "{sys.executable}"\nroot = "{folder}/there"\n{extra}'
    )
    bench = Bench(folder, {"TMPDIR": str(folder / "tmp"), "PYTHONFAULTHANDLER": "1"})
    bench.copy_model()
    return bench


@pytest.fixture
def host(tmp_path: Path, adb_server: AdbServer, phone: Phone) -> Bench:
    return make_host(tmp_path, adb_server, phone.serial)


def test_a_second_run_sends_neither_model_nor_agent(host: Bench, phone: Phone, tmp_path: Path) -> None:
    (row,) = host.rows("run", "--device", "phone", "--models", "tiny.onnx", "--backends", "onnxruntime")
    assert (row["device"], row["n_restarts"]) == ("phone", 2)
    (agent,) = tmp_path.glob("there/edgebench/agent/*")
    commands, received = len(phone.asked_for("shell")), phone.device.bytes_in
    host.rows("run", *FAKE)
    (push,) = (line for line in phone.asked_for("shell")[commands:] if ".part" in line)
    assert agent.name in push  # asked for, not sent: see the bytes
    assert phone.device.bytes_in - received < agent.stat().st_size / 2


def test_after_a_reboot_and_a_new_adb_server_in_mid_run_a_phone_is_measured_on(
    host: Bench, phone: Phone, adb_server: AdbServer
) -> None:
    process = host.start("run", *FAKE, "--threads", "1,2", "--json")
    host.wait_for_restarts(1, process)
    phone.reboot()
    host.wait_for_restarts(2, process)
    adb_server.stop()  # by somebody else: bench never ends one
    adb_server.start()
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


def test_a_phone_whose_disk_is_full_is_offline_until_there_is_room(host: Bench, phone: Phone) -> None:
    phone.faults.disk_bytes = 4096
    done = host("run", *FAKE, "--json", expect=2)
    (row,) = json.loads(done.stdout)["rows"]
    assert row["verdict"] == "offline"
    assert "make room there, or name another folder with root = " in row["reason"]
    assert "trying again" not in done.stderr, "waiting makes no room"
    phone.faults.disk_bytes = None
    (row,) = host.rows("run", "--resume", "last")
    assert row["n_restarts"] == 2


def test_two_hosts_take_turns_at_a_phone_in_the_network(tmp_path: Path, adb_server: AdbServer, phone: Phone) -> None:
    there = tmp_path / "there" / "edgebench"
    hosts = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        hosts.append(make_host(tmp_path / name, adb_server, phone.serial))
        devices = tmp_path / name / "devices.toml"
        devices.write_text(devices.read_text().replace(f"{tmp_path / name}/there", str(there.parent)))
    one, other = hosts
    first = one.start("run", *FAKE, "--backend-option", "fake.fault=hang")
    wait_until(lambda: (there / "lock.running").exists() and (there / "lock.running").read_text(), first)
    (gap,) = other.rows("run", *FAKE, "--wait", "0", expect=2)
    assert gap["verdict"] == "offline"
    assert "device phone is in use by bench run" in gap["reason"]
    second = other.start("run", "--resume", "last", "--json")
    assert second.stderr
    assert second.stderr.readline().startswith("device phone is in use by bench run")
    first.kill()
    first.communicate()
    stdout, stderr = second.communicate(timeout=120)
    assert second.returncode == 0, stdout + stderr
    assert json.loads(stdout)["rows"][0]["n_restarts"] == 2
    wait_until(lambda: (there / "lock").read_text() == "")


TOOL = """INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate.
INFO: count=5 first=1500 curr=1000 min=990 max=1500 avg=1100 std=90 p5=992 median=1000 p95=1400
INFO: count=25 first=1001 curr=1000 min=990 max=1500 avg=1030.5 std=90 p5=992 median=1000 p95=1400
INFO: Inference timings in us: Init: 9900, First inference: 1500, Warmup (avg): 1100, Inference (avg): 1030.5
"""


def test_the_user_s_own_tool_is_pushed_and_its_aggregates_are_marked(host: Bench, tmp_path: Path) -> None:
    host.copy_model("tflite")
    tool = tmp_path / "my tool"
    tool.write_text(f"#!{sys.executable}\nprint({TOOL!r})\n")
    asked = ("run", "--device", "phone", "--models", "tiny.tflite", "--backends", "benchmark_model")
    asked += ("--backend-option", f"benchmark_model.binary={tool}")
    assert "No such file" in host(*asked[:-1], "benchmark_model.binary=/nothing/tool", expect=2).stderr
    printed = host(*asked).stdout
    (row,) = host.rows("results", "list")
    name, _, digest = row["options"]["binary"].partition("@")
    (pushed,) = (tmp_path / "there" / "edgebench" / "artifacts").glob(f"{digest}*/{name}")
    assert (name, pushed.read_text()) == ("my_tool", tool.read_text())
    assert (row["median_ms"], row["ci95_ms"], row["n_restarts"], row["n_iterations"]) == (1, [1, 1], 2, 50)
    assert row["aggregates"] == "each restart is the median that the tool told, of random inputs, unchecked"
    assert row["fallback"] == "part of the graph ran on CPU"
    assert "valid !" in printed
    assert "1.00 a" in printed
    assert "a marks 1 of 1 rows that hold aggregates only" in printed
    (tmp_path / "my tool").write_text(f"#!{sys.executable}\n# another build\nprint({TOOL!r})\n")
    (other,) = host.rows(*asked)
    assert other["case_id"] != row["case_id"]


def test_a_bad_link(tmp_path: Path, adb_server: AdbServer, phone: Phone) -> None:
    with between(phone.port) as proxy:
        bench = make_host(tmp_path, adb_server, f"127.0.0.1:{proxy.port}", f"timeout_s = {SILENCE_S}\n")
        run_over_a_bad_link(bench, FAKE, proxy)
    wait_until(
        lambda: (tmp_path / "there/edgebench/lock").read_text() == ""
    )  # a stalled holder's lease may have to end


def test_a_phone_that_ceases_to_trust_this_computer(tmp_path: Path, adb_server: AdbServer) -> None:
    with Phone(Device(asks_for_key=True)) as phone:
        host = make_host(tmp_path, adb_server, phone.serial)
        process = host.start("run", *FAKE, "--reconnect", "1", "--json")
        host.wait_for_restarts(1, process)
        phone.device.keys.clear()
        phone.device.accepts_new_keys = False
        phone.unplug()
        phone.plug_in()
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 3, stderr
        (row,) = json.loads(stdout)["rows"]
        assert row["n_restarts"] == 1
        assert "is unauthorized: " in row["reason"]
        assert "allow USB debugging from this computer" in row["reason"]
        (row,) = host.rows("run", "--resume", "last", expect=3)
        assert "is unauthorized: " in row["reason"]
        phone.device.accepts_new_keys = True
        phone.unplug()
        phone.plug_in()
        (row,) = host.rows("run", "--resume", "last")
        assert row["n_restarts"] == 2


@pytest.mark.timeout(0)  # the campaign has its own limit
def test_random_faults_lose_nothing(
    tmp_path: Path, adb_server: AdbServer, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # this one's, where `bench` holds no lock
    with between(phone.port) as proxy:
        bench = make_host(tmp_path, adb_server, f"127.0.0.1:{proxy.port}", f"timeout_s = {SILENCE_S}\n")
        bench.environment = {**adb_server.environment, **bench.environment}  # for the server that it starts itself
        campaign = Campaign(
            bench,
            (*FAKE, "--threads", "1,2,3"),
            {
                "cut": proxy.cut,
                "stall": proxy.stall,
                "reboot": phone.reboot,
                "adb server": lambda: adb_server.client("kill-server"),
            },
            phone.processes,
            lambda: [tmp_path / "tmp/edgebench-locks/phone.lock", tmp_path / "there/edgebench/lock"],
        )
        try:
            campaign.run(*asked_for())
        finally:
            adb_server.client("kill-server")


def test_adding_a_phone(host: Bench, phone: Phone, adb_server: AdbServer) -> None:
    host.environment["ANDROID_ADB_SERVER_PORT"] = str(adb_server.port)
    host("devices", "add", "pixel", "--adb", phone.serial)
    assert (
        f'[devices.pixel]\ntransport = "adb"\nserial = "{phone.serial}"\n' in (host.folder / "devices.toml").read_text()
    )
    assert host.json("devices", "show", "pixel")["device"]["serial"] == phone.serial
    assert "a device pixel already" in host("devices", "add", "pixel", "--adb", "any", expect=2).stderr
    host("devices", "forget", "pixel")
    host("devices", "add", "pixel", "--adb", "any")
    said = host("devices", "add", "other", "--adb", "0A1B2C", expect=2).stderr
    assert "no device 0A1B2C is connected" in said
    assert "other" not in (host.folder / "devices.toml").read_text()
