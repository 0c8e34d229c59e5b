"""One contract for every transport, and what is special to each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import AgentError, CommandTimeout, ConnectError, TransferError
from harness.transports import Transport
from harness.transports import base as transports_base
from harness.transports.local import LocalTransport
from harness.transports.simulated import SimulatedTransport
from tests.rigs.waiting import wait_until_ended


def echo(_command: Sequence[str], stdin: bytes) -> Iterator[bytes | None]:
    """What `CAT` does on a real machine."""
    yield from stdin.splitlines()


CAT = [sys.executable, "-c", "import sys; [print(line, end='', flush=True) for line in sys.stdin]"]
ONE_LINE = [sys.executable, "-c", "print(input(), flush=True)"]


@pytest.fixture(params=["local", "simulated", "adb", "ssh"])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    made: Transport
    if request.param == "local":
        made = LocalTransport()
    elif request.param == "simulated":
        made = SimulatedTransport(echo)
    else:
        made = request.getfixturevalue(f"{request.param}_transport")
    yield made
    made.close()


def test_run_gives_back_what_was_printed(transport: Transport) -> None:
    completed = transport.run(CAT, stdin=b"one\ntwo\n", timeout_s=60)
    assert completed.stdout == b"one\ntwo\n"
    assert completed.exit_code == 0


def test_stream_gives_lines_then_the_end(transport: Transport) -> None:
    stream = transport.stream(ONE_LINE, stdin=b"a line\n")
    assert stream.read_line(60) == b"a line"
    assert stream.read_line(60) is None
    assert stream.close().exit_code == 0


def test_push_then_pull_is_the_same_file(transport: Transport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    there = PurePosixPath(tmp_path / "device" / "deep" / "file")
    transport.push(source, there)
    transport.push(source, there)
    transport.pull(there, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_a_missing_file_is_a_transfer_error(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="nothing"):
        transport.push(tmp_path / "nothing", PurePosixPath(tmp_path / "target"))
    with pytest.raises(TransferError, match="nothing"):
        transport.pull(PurePosixPath(tmp_path / "nothing"), tmp_path / "target")


def test_nothing_starts_on_a_device_that_was_let_go(transport: Transport) -> None:
    transport.close()
    transport.close()
    with pytest.raises(ConnectError):
        transport.stream(CAT, stdin=b"")


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"\x7fELF nonsense", 0o755, "Exec format error; it is not a program for this machine"),
        (b"#!/bin/sh\n", 0o644, "Permission denied; it must be executable, in a folder that is not mounted noexec"),
    ],
)
def test_a_program_that_cannot_be_started(tmp_path: Path, content: bytes, mode: int, words: str) -> None:
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(mode)
    with pytest.raises(ConnectError, match=words):
        LocalTransport().stream([str(program)], stdin=b"")


def test_what_happens_to_the_device_s_copy_does_not_happen_to_the_file(transport: Transport, tmp_path: Path) -> None:
    if isinstance(transport, SimulatedTransport):
        pytest.skip("it keeps its files in memory")
    source, there = tmp_path / "source", tmp_path / "device" / "file"
    source.write_bytes(b"model")
    transport.push(source, PurePosixPath(there))
    with there.open("r+b") as file:
        file.write(b"M")
    assert source.read_bytes() == b"model"
    assert there.read_bytes() == b"Model"


def test_silence_is_a_timeout() -> None:
    stream = LocalTransport().stream([sys.executable, "-c", "import time; time.sleep(60)"], stdin=b"")
    with pytest.raises(CommandTimeout, match=r"no answer within 0\.2 s"):
        stream.read_line(0.2)
    assert stream.close().exit_code is None


def test_run_that_takes_too_long_is_killed() -> None:
    begun = time.monotonic()
    with pytest.raises(CommandTimeout):
        LocalTransport().run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.3)
    assert time.monotonic() - begun < 45


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(ConnectError, match="no-such-program cannot be started: No such file"):
        LocalTransport().run(["no-such-program"], timeout_s=5)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.transports.base.MAX_LINE_BYTES", 1 << 20)
    flood = [sys.executable, "-c", "import sys\nwhile True: sys.stdout.write('x' * 65536)"]
    stream = LocalTransport().stream(flood, stdin=b"")
    with pytest.raises(AgentError, match="a line longer than"):
        stream.read_line(60)
    stream.close()


def test_stderr_is_kept_to_its_end_and_cannot_block() -> None:
    noisy = [sys.executable, "-c", "import sys; sys.stderr.write('y' * 3_000_000 + 'the end'); print('done')"]
    stream = LocalTransport().stream(noisy, stdin=b"")
    assert stream.read_line(60) == b"done"
    completed = stream.close()
    assert completed.stderr.endswith(b"the end")
    assert len(completed.stderr) <= transports_base.MAX_STDERR_BYTES


def test_closing_ends_grandchildren_too(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    stream = LocalTransport().stream([sys.executable, "-c", code], stdin=b"")
    grandchild = int(stream.read_line(60) or 0)
    stream.close()
    wait_until_ended(grandchild)
