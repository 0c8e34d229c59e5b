"""The mode a device is in: read from real files, told in every row, held against what devices.toml asks for."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.agent import telemetry
from harness.fleet.devices import Device
from harness.link.advice import power_problem
from results.records import Telemetry
from tests.rigs.bench import Bench
from tests.rigs.sshd import Sshd
from tests.rigs.sysfs import governor, write_jetson, write_pi

# Starts a server on whose machine /sys is the folder $1.
OTHER_SYS = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --rbind "$1" /sys; shift; exec "$@"')


def test_governor_and_nvpmodel_mode_are_read(tmp_path: Path) -> None:
    assert "power_mode" not in telemetry.snapshot(str(tmp_path))
    write_pi(tmp_path)
    write_jetson(tmp_path)
    said = telemetry.snapshot(str(tmp_path))
    assert (said["governor"], said["power_mode"]) == (["ondemand"], "25W")
    governor(tmp_path).write_text("performance\n")
    assert telemetry.snapshot(str(tmp_path))["governor"] == ["performance"]


@pytest.mark.parametrize(
    ("status", "mode"),
    [
        ("pmode:0000 fmode:quiet\n", "15W"),
        ("", "MAXN_SUPER"),  # the default, until another one is chosen
        ("pmode:0009", None),
        ("pmode:99999999999999999999", None),
        ("\udcff\udcfe", "MAXN_SUPER"),
    ],
)
def test_which_mode_nvpmodel_s_files_mean(tmp_path: Path, status: str, mode: str | None) -> None:
    write_jetson(tmp_path)
    (tmp_path / "var/lib/nvpmodel/status").write_bytes(os.fsencode(status))
    assert telemetry.snapshot(str(tmp_path)).get("power_mode") == mode


@pytest.mark.parametrize(
    ("asked", "said", "words"),
    [
        (None, {"governor": ["ondemand"]}, None),
        ("performance", {"governor": ["performance"], "power_mode": "15W"}, None),
        ("maxn", {"governor": ["schedutil"], "power_mode": "MAXN"}, None),
        ("performance", {"governor": ["performance", "powersave"]}, "governor performance and powersave; .*cpupower"),
        (
            "MAXN",
            {"governor": ["schedutil"], "power_mode": "15W"},
            "nvpmodel mode 15W, governor schedutil; .*nvpmodel -m",
        ),
        ("performance", {"governor": "unknown"}, "tells neither nvpmodel mode nor governor; .*take power_mode out"),
        ("performance", {"governor": [["x"], 3, None], "power_mode": {}}, "tells neither"),
    ],
)
def test_what_to_do_about_another_mode(asked: str | None, said: dict[str, Any], words: str | None) -> None:
    phone = power_problem(Device(name="pixel", transport="adb", power_mode=asked), Telemetry.of(said))
    assert phone is None or "only root" in phone or "tells neither" in phone
    problem = power_problem(Device(name="box", transport="ssh", power_mode=asked), Telemetry.of(said))
    if words is None:
        assert problem is None
    else:
        assert problem
        assert re.search(words, problem), problem


@pytest.mark.skipif(os.geteuid() != 0, reason="a device with another /sys needs root")
def test_rows_measured_in_another_mode_are_not_comparable(tmp_path: Path) -> None:
    write_pi(tmp_path / "pi")
    server = Sshd(tmp_path / "server", wrap=(*OTHER_SYS, "sh", str(tmp_path / "pi/sys")))
    try:
        (tmp_path / "tmp").mkdir()
        bench = Bench(tmp_path, {"HOME": str(server.client), "TMPDIR": str(tmp_path / "tmp")})
        bench.copy_model()
        (tmp_path / "devices.toml").write_text(
            f'[devices.pi]\ntransport = "ssh"\nhost = "{server.address}"\nport = {server.port}\n'
            f'python = "{sys.executable}"\npower_mode = "performance"\n'
        )
        run = ("run", "--device", "pi", "--models", "tiny.onnx", "--backends", "fake", "--json")
        done = bench(*run)
        assert "pi: power_mode = 'performance' is asked for, found: governor ondemand; its rows" in done.stderr
        (row,) = json.loads(done.stdout)["rows"]
        assert (row["verdict"], row["n_restarts"]) == ("not-comparable", 2)
        assert row["reason"].startswith("power_mode = 'performance' is asked for, found: governor ondemand")
        assert row["environment"] == {"power_mode": [], "governor": ["ondemand"]}
        governor(tmp_path / "pi").write_text("performance\n")
        said = bench("devices", "check", "pi").stdout
        for words in (
            "pi: ready\n",
            "temperature   48 °C at",
            "governor      performance\n",
            "  frequency     1.5 GHz, from 0.6 to 1.5 GHz\n",
            "set up        not by",
        ):
            assert words in said
        assert "power_mode" not in said
    finally:
        server.stop()
