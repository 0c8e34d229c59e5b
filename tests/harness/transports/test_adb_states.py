"""What a user gets to read when a phone, the adb server or the adb program is not as it should be."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest

from harness.errors import ConnectError
from harness.transports.adb import server as adb_server
from harness.transports.adb.transport import AdbTransport
from tests.rigs.adbd import AdbServer, Device, Phone


def test_without_a_device_or_with_another_one(adb_server: AdbServer, phone: Phone) -> None:
    with pytest.raises(ConnectError, match=r"adb sees no device: the cable, .*USB debugging"):
        AdbTransport(port=adb_server.port)
    with pytest.raises(ConnectError, match=r"no device PIXEL is connected; adb sees no device"):
        AdbTransport("PIXEL", port=adb_server.port)
    adb_server.connect(phone)
    with pytest.raises(ConnectError, match=rf"no device PIXEL is connected; adb sees: {phone.serial} \(device\)"):
        AdbTransport("PIXEL", port=adb_server.port)


def test_the_only_device_needs_no_name_and_several_do(adb_server: AdbServer, phone: Phone) -> None:
    adb_server.connect(phone)
    assert AdbTransport(port=adb_server.port).serial == phone.serial
    with Phone() as other:
        adb_server.connect(other)
        with pytest.raises(ConnectError, match=r"several devices are connected; set `serial` to one of: .*, "):
            AdbTransport(port=adb_server.port)


def test_a_device_in_the_network_is_connected_to(adb_server: AdbServer, phone: Phone) -> None:
    assert AdbTransport(phone.serial, port=adb_server.port).run(["true"], timeout_s=60).exit_code == 0
    phone.unplug()
    with pytest.raises(ConnectError, match=r"is it on, in this network"):
        AdbTransport(phone.serial, port=adb_server.port)


def test_a_phone_that_does_not_trust_this_computer(adb_server: AdbServer) -> None:
    with Phone(Device(asks_for_key=True, accepts_new_keys=False)) as phone:
        adb_server.connect(phone, "unauthorized")
        with pytest.raises(ConnectError, match=r"is unauthorized: .* unlock its screen and allow USB debugging"):
            AdbTransport(phone.serial, port=adb_server.port)


def test_a_phone_that_is_offline(adb_server: AdbServer, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.transports.adb.connection.SETTLE_S", 0.2)
    monkeypatch.setattr("harness.transports.adb.server._CONNECT_S", 3)
    phone.faults.offline = True
    with pytest.raises(ConnectError, match=r"is offline: adb sees it but it does not answer"):
        AdbTransport(phone.serial, port=adb_server.port)


def test_an_old_android_is_refused(adb_server: AdbServer) -> None:
    with Phone(Device(features=("cmd",))) as phone:
        adb_server.connect(phone)
        with pytest.raises(ConnectError, match=r"has Android 6 or older"):
            AdbTransport(phone.serial, port=adb_server.port)


def test_the_server_is_where_adb_itself_looks(
    adb_server: AdbServer, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    assert AdbTransport(phone.serial).run(["echo", "hi"], timeout_s=60).stdout == b"hi\n"


@pytest.mark.parametrize("state", ["no permissions (missing udev rules?)", "recovery", "sideload", "host"])
def test_every_other_state_says_what_to_do(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_server.AdbServer, "devices", lambda _: {"PIXEL": state})
    said = adb_server.AdbServer.at().explain("PIXEL")
    assert said.startswith(f"PIXEL is {state.split(' (')[0]}: ")
    assert "udev rules" in said or "boot it into Android" in said


def test_the_server_is_started_when_none_runs(tmp_path: Path, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    private = AdbServer(adb_server.find_adb(), tmp_path)
    for name, value in private.environment.items():
        monkeypatch.setenv(name, value)
    try:
        transport = AdbTransport(phone.serial, port=private.port)
        assert transport.run(["echo", "hi"], timeout_s=60).stdout == b"hi\n"
    finally:
        private.client("kill-server")


def test_no_adb_program(monkeypatch: pytest.MonkeyPatch) -> None:
    port = AdbServer("adb", Path()).port
    monkeypatch.setenv("PATH", "")
    assert adb_server.find_adb().endswith("adb")  # that of the package
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConnectError, match=r"no adb on this machine: install Android's platform tools"):
        AdbTransport(port=port)


def test_an_adb_program_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adb").symlink_to("/usr/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConnectError, match=r"the adb server cannot be started: `.*adb -P .* start-server` shows"):
        AdbTransport(port=AdbServer("adb", Path()).port)


def test_a_server_elsewhere_is_not_started_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("socket.create_connection", refuse)
    with pytest.raises(ConnectError, match=r"no adb server answers on lab:5037: start one there"):
        AdbTransport(host="lab")


def test_nonsense_from_the_port() -> None:
    def serve() -> None:
        with listener.accept()[0] as accepted, contextlib.suppress(OSError):
            accepted.recv(100)
            accepted.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for _ in range(2):  # the first only looks whether a server runs
            threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ConnectError, match=f"what answers on 127.0.0.1:{port} is not an adb server"):
            AdbTransport("PIXEL", port=port)


def test_something_else_on_the_port(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.transports.adb.server._ANSWER_S", 0.5)
    with pytest.raises(ConnectError, match=r"the adb server on .* closed|timed out"):
        AdbTransport("PIXEL", port=phone.port)
