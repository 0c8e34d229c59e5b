"""Emulated 64-bit Arm devices, set up from this machine and really inferring."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from harness.jobs.base import Event
from harness.jobs.model import Loaded
from harness.provision.cleaning import clean
from harness.provision.device import Provisioner
from models.store import ArtifactStore
from results.judge.device import telemetry
from tests.rigs.adbd import AdbServer
from tests.rigs.arm64 import make_phone, make_pi, need_arm64, phone_over_adb, pi_over_ssh
from tests.rigs.provisioning import CACHE, restart_tiny
from tests.rigs.sysfs import throttled, write_services

pytestmark = [pytest.mark.usefixtures("fetching_packages"), pytest.mark.arm64, pytest.mark.timeout(600)]


def nothing(_event: Event) -> None:
    """Happens to a device that is left in peace."""


@pytest.fixture(autouse=True)
def _arm64() -> None:
    need_arm64()


def test_a_raspberry_pi_over_ssh_runs_all_three_runtimes(tmp_path: Path, store: ArtifactStore) -> None:
    machine = make_pi(tmp_path / "pi")

    def heat(event: Event) -> None:
        if isinstance(event, Loaded):
            throttled(machine.fake).write_text("c000c")

    with pi_over_ssh(machine, tmp_path / "ssh") as transport:
        worker = Provisioner(transport, PurePosixPath(".cache/edgebench"), CACHE)
        outcome, record = worker.setup(("onnxruntime", "openvino", "tflite"))
        assert (outcome.machine, outcome.own_python, outcome.problems) == ("aarch64", True, [])
        for backend, kind in (("onnxruntime", "onnx"), ("openvino", "onnx"), ("tflite", "tflite")):
            meanwhile = heat if backend == "tflite" else nothing
            restart = restart_tiny(transport, record, store, backend, kind, 240.0, meanwhile)
            assert restart.outcome == "ok", restart.reason
            assert restart.verified
            assert restart.agent["machine"] == "aarch64"
            found = " ".join(telemetry.throttling(restart))
            assert ("tells of throttling and the soft temperature limit" in found) == (backend == "tflite"), found
        again, same = worker.setup(("onnxruntime", "openvino", "tflite"))
        assert (again.pushed, again.versions, same) == ([], outcome.versions, record)
        clean(transport, worker.folder)
    assert not machine.path(PurePosixPath("/root/.cache/edgebench")).exists()


def test_a_phone_without_glibc_and_python_runs_models_over_adb(
    tmp_path: Path, store: ArtifactStore, adb_server: AdbServer
) -> None:
    machine = make_phone(tmp_path / "phone")

    def heat(event: Event) -> None:
        if isinstance(event, Loaded):
            write_services(machine.root / "system", status=3)

    with phone_over_adb(machine, adb_server) as transport:
        worker = Provisioner(transport, PurePosixPath("/data/local/tmp/edgebench"), CACHE)
        outcome, record = worker.setup(("onnxruntime", "tflite"))
        assert (outcome.machine, outcome.own_python, outcome.problems) == ("aarch64", False, [])
        for backend, kind in (("onnxruntime", "onnx"), ("tflite", "tflite")):
            meanwhile = heat if backend == "tflite" else nothing
            restart = restart_tiny(transport, record, store, backend, kind, 240.0, meanwhile)
            assert restart.outcome == "ok", restart.reason
            assert restart.verified
            assert restart.telemetry_before is not None
            assert (restart.telemetry_before.thermal_status, restart.telemetry_before.power_source) == (0, ("usb",))
            found = " ".join(telemetry.throttling(restart))
            assert ("its thermal status was 3" in found) == (backend == "tflite"), found
        clean(transport, worker.folder)
        assert list(machine.path(PurePosixPath("/data/local/tmp")).iterdir()) == []
