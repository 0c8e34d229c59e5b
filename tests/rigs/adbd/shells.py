"""The services that run commands, and the forward to a TCP port.

As on a phone, a command runs in a session of its own. When the client goes away, only the command's first process gets
a hang-up signal and its pipes close: whatever it started lives on, unless it notices by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
import uuid
from asyncio.subprocess import PIPE, STDOUT, Process

from tests.rigs.adbd.device import Device
from tests.rigs.adbd.wire import Pipe
from tests.rigs.sshd import marked

# Packets of the shell protocol, version 2.
STDIN, STDOUT_, STDERR, EXIT, CLOSE_STDIN = range(5)
_FRAME = struct.Struct("<BI")
_CHUNK = 1 << 18


class Shells:
    """Every command that ran on one phone. Whatever they started carries a mark, so that a reboot ends all of it."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._mark = f"ADBD_RIG={uuid.uuid4().hex}"

    def kill_all(self) -> None:
        """End every command with everything it started."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self, word: str = "") -> list[int]:
        """Return what commands have started and still runs; with `word` in its command line."""
        return marked(self._mark, word)

    async def serve(self, pipe: Pipe, name: str) -> None:
        """Serve `shell:LINE`, `shell,v2,raw:LINE` or `exec:LINE`."""
        options, _, line = name.partition(":")
        framed = "v2" in options.split(",")
        self.device.log.append((options.split(",")[0], line))
        process = await asyncio.create_subprocess_exec(
            *self.device.command(line),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE if framed else STDOUT,
            env={**self.device.environment, **dict([self._mark.split("=")])},
            cwd=self.device.root,
            start_new_session=True,
            limit=_CHUNK,
        )
        if self.device.faults.kill_shells_after_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self.device.faults.kill_shells_after_s, _signal, process, signal.SIGKILL)
        feeding = asyncio.create_task(_feed_framed(pipe, process) if framed else _feed(pipe, process))
        try:
            await _pump(pipe, process, framed)
            code = await process.wait()
            if framed:
                # A signal's number and 128, as shells have it.
                await pipe.write(_FRAME.pack(EXIT, 1) + bytes([code if code >= 0 else 128 - code]))
        finally:
            feeding.cancel()
            _hang_up(process)
            # What it started may hold its pipes open, and asyncio's wait() ends only when they are closed.
            if process.stdin:
                with contextlib.suppress(AttributeError):  # asyncio's way to say that it is closed already
                    process.stdin.transport.abort()
            for number in (1, 2):
                if output := process._transport.get_pipe_transport(number):
                    output.close()
            await process.wait()
            process._transport.close()


async def _pump(pipe: Pipe, process: Process, framed: bool) -> None:
    """Send what the command prints until both its outputs are closed."""
    one_at_a_time = asyncio.Lock()

    async def send(source: asyncio.StreamReader | None, kind: int) -> None:
        while source and (chunk := await source.read(_CHUNK)):
            async with one_at_a_time:
                await pipe.write(_FRAME.pack(kind, len(chunk)) + chunk if framed else chunk)

    await asyncio.gather(send(process.stdout, STDOUT_), send(process.stderr, STDERR))


async def _feed_framed(pipe: Pipe, process: Process) -> None:
    """Pass standard input on; hang up when the client goes away."""
    assert process.stdin
    try:
        while True:
            kind, size = _FRAME.unpack(await pipe.read_exactly(_FRAME.size))
            content = await pipe.read_exactly(size)
            if kind == STDIN:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it reads no more: dropped, as there
                    process.stdin.write(content)
                    await process.stdin.drain()
            elif kind == CLOSE_STDIN:
                process.stdin.close()
    except EOFError:
        _hang_up(process)


async def _feed(pipe: Pipe, process: Process) -> None:
    """Pass standard input on; close it when the client goes away."""
    assert process.stdin
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            process.stdin.write(await pipe.read())
            await process.stdin.drain()
    process.stdin.close()


def _hang_up(process: Process) -> None:
    if process.stdin:
        process.stdin.close()
    _signal(process, signal.SIGHUP)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def forward(pipe: Pipe, name: str) -> None:
    """Serve `tcp:PORT`: what `adb forward` reaches on the phone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(name.rpartition(":")[2]))

    async def up() -> None:
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                writer.write(await pipe.read())
                await writer.drain()

    sending = asyncio.create_task(up())
    try:
        while chunk := await reader.read(_CHUNK):
            await pipe.write(chunk)
    finally:
        sending.cancel()
        writer.close()
