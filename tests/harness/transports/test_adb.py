"""Commands over adb, against the real adb server and a phone that goes away, hangs or floods."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import AgentError, CommandTimeout, ConnectError
from harness.fleet.devices import Device
from harness.transports import base
from harness.transports.adb import server as server_side
from harness.transports.adb.transport import AdbTransport
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.adbd import Device as Rig
from tests.rigs.proxy import between
from tests.rigs.waiting import wait_until_ended


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


SLEEP = python("import time; print('up', flush=True); time.sleep(60)")


def test_exit_codes_and_streams(adb_transport: AdbTransport) -> None:
    done = adb_transport.run(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"), timeout_s=60
    )
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert adb_transport.run(["sh", "-c", "exit 255"], timeout_s=60).exit_code == 255
    assert adb_transport.run(["sh", "-c", "kill -KILL $$"], timeout_s=60).exit_code is None
    missing = adb_transport.run(["no-such-program"], timeout_s=60)
    assert missing.exit_code == 127
    assert b"not found" in missing.stderr


def test_arguments_arrive_as_they_are(adb_transport: AdbTransport) -> None:
    arguments = ["a b", "$HOME", "`id`", "'", '"', "\\", "new\nline", "", "*", "ü", ";exit 3"]
    code = "import sys; print(sys.argv[1:])"
    assert adb_transport.run([*python(code), *arguments], timeout_s=60).stdout.decode() == f"{arguments}\n"


def test_what_it_reads_and_prints_may_be_large(adb_transport: AdbTransport) -> None:
    content = os.urandom(3_000_000)
    assert adb_transport.run(["cat"], stdin=content, timeout_s=60).stdout == content


def test_run_that_takes_too_long_is_killed_there(adb_transport: AdbTransport, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(CommandTimeout, match=r"did not end within 2 s"):
        adb_transport.run(python(code), timeout_s=2)
    wait_until_ended(int(note.read_text()))


@pytest.mark.parametrize("where", ["", ">&2"])
def test_a_flood_before_the_command_begins_ends(adb_server: AdbServer, where: str) -> None:
    with Phone(Rig(shell=("/bin/sh", "-c", f"exec yes {where}"))) as phone:  # noqa: S604
        transport = AdbTransport(phone.serial, port=adb_server.port, timeout_s=1)
        said = "before the command began" if not where else "went away while a command was started"
        with pytest.raises((AgentError, ConnectError), match=said):
            transport.stream(["true"], stdin=b"")
        assert not transport.connection.answers()
        transport.close()


def test_a_flood_of_standard_error_is_silence(adb_transport: AdbTransport) -> None:
    with pytest.raises(CommandTimeout, match="did not end within 1 s"):
        adb_transport.run(["sh", "-c", "exec yes >&2"], timeout_s=1)
    stream = adb_transport.stream(["sh", "-c", "echo up; exec yes >&2"], stdin=b"")
    assert stream.read_line(60) == b"up"
    with pytest.raises(CommandTimeout, match="nothing was said"):
        stream.read_line(0)
    with pytest.raises(CommandTimeout, match="no answer within 1 s"):
        stream.read_line(1)
    assert len(stream.close().stderr) <= base.MAX_STDERR_BYTES


@pytest.mark.parametrize(
    ("serial", "is_far"),
    [
        ("192.168.1.20:5555", True),
        ("adb-R5CR10ABCDE-Xy12Zw._adb-tls-connect._tcp", True),
        ("adb-R5CR10ABCDE-Xy12Zw (2)._adb-tls-connect._tcp.", True),
        ("R5CR10ABCDE", False),
        ("emulator-5554", False),
    ],
)
def test_a_phone_in_a_network_is_shared_with_other_hosts(
    serial: str, is_far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_side.AdbServer, "start", lambda *_: None)
    monkeypatch.setattr(server_side.AdbServer, "devices", lambda _: {serial: "device"})
    monkeypatch.setattr(server_side.AdbServer, "features", lambda *_: frozenset({"shell_v2"}))
    transport = Device(name="phone", transport="adb", serial=serial, adb_host="127.0.0.1").connect()
    assert transport.shared is is_far


def test_more_than_a_command_may_print(adb_transport: AdbTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("harness.transports.adb.transport", "harness.transports.base"):
        monkeypatch.setattr(f"{module}.MAX_LINE_BYTES", 1 << 20)
    with pytest.raises(AgentError, match=r"printed more than"):
        adb_transport.run(["yes"], timeout_s=60)
    stream = adb_transport.stream(python("import sys\nwhile True: sys.stdout.write('x' * 65536)"), stdin=b"")
    with pytest.raises(AgentError, match=r"a line longer than"):
        stream.read_line(60)
    stream.close()


def test_standard_error_is_kept_to_its_end_and_cannot_block(adb_transport: AdbTransport) -> None:
    noisy = python("import sys; sys.stderr.write('y' * 3_000_000 + 'the end'); print('done')")
    stream = adb_transport.stream(noisy, stdin=b"")
    assert stream.read_line(60) == b"done"
    completed = stream.close()
    assert completed.exit_code == 0
    assert completed.stderr.endswith(b"the end")
    assert len(completed.stderr) <= base.MAX_STDERR_BYTES


def test_standard_input_stays_open_until_the_stream_is_closed(adb_transport: AdbTransport) -> None:
    code = "import os, sys; print(os.getpid(), input(), flush=True); print(sys.stdin.read(), flush=True)"
    stream = adb_transport.stream(python(code), stdin=b"request\n")
    pid, request = (stream.read_line(60) or b"").split()
    assert request == b"request"
    with pytest.raises(CommandTimeout, match=r"no answer within 0\.2 s"):
        stream.read_line(0.2)
    assert stream.close().exit_code is None
    wait_until_ended(int(pid))


def test_more_can_be_written_while_another_thread_reads(adb_transport: AdbTransport) -> None:
    stream = adb_transport.stream(["cat"], stdin=b"one\n")
    assert stream.read_line(60) == b"one"
    with pytest.raises(CommandTimeout, match=r"nothing was said"):
        stream.read_line(0.0)
    threading.Timer(0.2, stream.write, (b"two\n",)).start()
    assert stream.read_line(60) == b"two"
    assert stream.close().signal == signal.SIGKILL
    stream.write(b"three\n")


def test_closing_ends_what_the_command_started(adb_transport: AdbTransport) -> None:
    code = "import subprocess, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    stream = adb_transport.stream(python(code), stdin=b"")
    grandchild = int(stream.read_line(60) or 0)
    stream.close()
    wait_until_ended(grandchild)


def test_close_from_another_thread_ends_the_reading(adb_transport: AdbTransport) -> None:
    stream = adb_transport.stream(SLEEP, stdin=b"")
    assert stream.read_line(60) == b"up"
    threading.Timer(0.2, adb_transport.close).start()
    begun = time.monotonic()
    assert stream.read_line(60) is None
    assert time.monotonic() - begun < 45
    assert stream.close().exit_code is None
    with pytest.raises(ConnectError, match=r"is closed"):
        adb_transport.run(["true"], timeout_s=5)


# A device that goes away


@pytest.mark.parametrize("fault", ["cut", "reboot", "unplug"])
def test_a_device_that_goes_away_in_mid_command(adb_transport: AdbTransport, phone: Phone, fault: str) -> None:
    stream = adb_transport.stream(SLEEP, stdin=b"")
    assert stream.read_line(60) == b"up"
    begun = time.monotonic()
    if fault == "cut":
        phone.faults.cut_after = 0
        asking = threading.Thread(target=adb_transport.connection.answers)
        asking.start()
    else:
        {"reboot": phone.reboot, "unplug": phone.unplug}[fault]()
    with pytest.raises(ConnectError, match=r"went away while a command ran there; now: "):
        stream.read_line(60)
    assert stream.close().exit_code is None
    assert time.monotonic() - begun < 45
    if fault == "reboot":  # and is worked with again
        assert adb_transport.run(["echo", "back"], timeout_s=60).stdout == b"back\n"


def test_a_device_that_hangs_is_not_a_slow_command(
    adb_transport: AdbTransport, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.transports.adb.connection.KILL_S", 0.5)
    stream = adb_transport.stream(SLEEP, stdin=b"")
    assert stream.read_line(60) == b"up"
    adb_transport.connection.timeout_s = 0.5
    phone.faults.stalled = True
    asked: list[str] = []
    ask = server_side.AdbServer.open

    def noting(server: server_side.AdbServer, serial: str, service: str, timeout_s: float) -> socket.socket:
        asked.append(service)
        return ask(server, serial, service, timeout_s)

    monkeypatch.setattr(server_side.AdbServer, "open", noting)
    begun = time.monotonic()
    with pytest.raises(ConnectError, match=r"went away while a command ran there; now: .* does not answer"):
        stream.read_line(0.3)
    stream.close()
    assert len(asked) == 1, "a device that does not answer is asked once: every further wait would add up"
    assert time.monotonic() - begun < 45
    monkeypatch.setattr("harness.transports.adb.connection.SETTLE_S", 0.2)
    monkeypatch.setattr("harness.transports.adb.server._CONNECT_S", 0.5)
    with pytest.raises(ConnectError, match=r"no answer within 0.5 s|is offline"):
        adb_transport.run(["true"], timeout_s=5)


def test_devices_toml_says_how_long_a_phone_may_be_silent(adb_server: AdbServer, phone: Phone) -> None:
    device = Device(
        name="phone", transport="adb", serial=adb_server.connect(phone), adb_port=adb_server.port, timeout_s=7
    )
    transport = device.connect()
    assert isinstance(transport, AdbTransport)
    assert transport.connection.timeout_s == 7


def test_a_connection_that_is_dead_is_made_anew(adb_server: AdbServer, phone: Phone) -> None:
    with between(phone.port) as proxy:
        transport = AdbTransport(f"127.0.0.1:{proxy.port}", port=adb_server.port, timeout_s=2)
        proxy.stall()
        assert transport.run(["echo", "back"], timeout_s=60).stdout == b"back\n"
        transport.close()


def test_a_command_killed_on_the_device_is_not_a_lost_device(adb_transport: AdbTransport) -> None:
    stream = adb_transport.stream(python("import os, time; print(os.getpid(), flush=True); time.sleep(60)"), stdin=b"")
    os.kill(int(stream.read_line(60) or 0), signal.SIGKILL)
    assert stream.read_line(60) is None
    assert stream.close().exit_code is None
