"""The wire: packets of the adb protocol, the handshake, and the streams that share one connection.

Written after Android's protocol description (protocol.txt in packages/modules/adb). Left out: TLS, compression of
transfers, delayed acknowledgments, terminals. None is announced, so no client asks for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.rigs.adbd.auth import is_signed
from tests.rigs.adbd.device import Device

VERSION = 0x01000001  # from this version on a checksum of 0 is right
MAX_PAYLOAD = 1 << 20
_HEADER = struct.Struct("<6I")

TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3


class Cut(ConnectionError):
    """The rig pulls its own cable."""


@dataclass(frozen=True)
class Packet:
    """One message: a command, two numbers whose meaning is the command's, and a payload."""

    command: bytes
    first: int
    second: int
    payload: bytes = b""


class Pipe:
    """One stream: bytes in order both ways. What came in is acknowledged when the service takes it, not before."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.connection = connection
        self.local, self.remote = local, remote
        self.closed = False
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._buffer = bytearray()
        self._acknowledged = asyncio.Event()

    def arrived(self, payload: bytes) -> None:
        """Take in a payload from the client."""
        self._incoming.put_nowait(payload)

    def acknowledge(self) -> None:
        """The client has taken the last packet."""
        self._acknowledged.set()

    def end(self) -> None:
        """The client closed its side, or the connection is gone."""
        self.closed = True
        self._acknowledged.set()
        self._incoming.put_nowait(None)

    async def read(self) -> bytes:
        """Return what is there, at least one byte. Raises EOFError."""
        if not self._buffer:
            await self._fill()
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    async def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes. Raises EOFError."""
        while len(self._buffer) < size:
            await self._fill()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _fill(self) -> None:
        payload = await self._incoming.get()
        if payload is None:
            self._incoming.put_nowait(None)  # for whoever reads next
            raise EOFError
        self._buffer += payload
        await self.connection.send(Packet(b"OKAY", self.local, self.remote))

    async def write(self, content: bytes) -> None:
        """Send bytes, each packet after the one before was taken. Raises EOFError when the client has closed."""
        step = self.connection.max_payload
        for start in range(0, len(content), step):
            if self.closed:
                raise EOFError
            self._acknowledged.clear()
            await self.connection.send(Packet(b"WRTE", self.local, self.remote, content[start : start + step]))
            await self._acknowledged.wait()
        if self.closed:
            raise EOFError

    async def close(self) -> None:
        """Close our side. Idempotent."""
        if self.connection.pipes.pop(self.local, None) is not None:
            await self.connection.send(Packet(b"CLSE", self.local, self.remote))


Service = Callable[[Pipe, str], Awaitable[None]]


class Connection:
    """One client's connection; `find_service` gives what serves a name, or None."""

    def __init__(
        self,
        device: Device,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        find_service: Callable[[str], Service | None],
    ) -> None:
        self.device = device
        self.pipes: dict[int, Pipe] = {}
        self.max_payload = 4096
        self._version = 0
        self._reader, self._writer = reader, writer
        self._find_service = find_service
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    async def serve(self) -> None:
        """Serve until the client or a fault ends the connection."""
        try:
            await self._handshake()
            while True:
                await self._dispatch(await self._receive())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for pipe in self.pipes.values():
                pipe.end()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.abort()

    def abort(self) -> None:
        """Reset the TCP connection."""
        self._writer.transport.abort()

    async def send(self, packet: Packet) -> None:
        """Send one packet. Raises ConnectionError."""
        faults = self.device.faults
        while faults.stalled:
            await asyncio.sleep(0.02)
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        number = int.from_bytes(packet.command, "little")
        checksum = 0 if self._version >= VERSION else sum(packet.payload) & 0xFFFFFFFF
        size = len(packet.payload)
        async with self._sending:
            self._writer.write(
                _HEADER.pack(number, packet.first, packet.second, size, checksum, number ^ 0xFFFFFFFF) + packet.payload
            )
            await self._writer.drain()

    async def _receive(self) -> Packet:
        number, first, second, size, _, magic = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
        if magic != number ^ 0xFFFFFFFF or size > MAX_PAYLOAD:
            raise ConnectionError("that is not adb")
        faults = self.device.faults
        self.device.bytes_in += _HEADER.size + size
        if faults.received(_HEADER.size + size):
            self.abort()
            raise Cut
        while faults.stalled:
            await asyncio.sleep(0.02)
        if faults.bytes_per_s:
            await asyncio.sleep(size / faults.bytes_per_s)
        payload = await self._reader.readexactly(size) if size else b""
        return Packet(number.to_bytes(4, "little"), first, second, payload)

    async def _handshake(self) -> None:
        token = b""
        while True:
            packet = await self._receive()
            if self.device.faults.offline:
                continue
            if packet.command == b"CNXN":
                self._version = min(packet.first, VERSION)
                self.max_payload = min(packet.second, MAX_PAYLOAD)
                if not self.device.asks_for_key:
                    break
            elif packet.command == b"AUTH" and self._is_trusted(packet, token):
                break
            elif packet.command == b"AUTH" and packet.first == PUBLIC_KEY:
                continue  # the dialog on the screen is not answered: unauthorized
            token = os.urandom(20)
            await self.send(Packet(b"AUTH", TOKEN, 0, token))
        await self._greet()

    async def _greet(self) -> None:
        await self.send(Packet(b"CNXN", VERSION, MAX_PAYLOAD, self.device.banner()))

    def _is_trusted(self, packet: Packet, token: bytes) -> bool:
        device = self.device
        if packet.first == SIGNATURE:
            return any(is_signed(key, token, packet.payload) for key in device.keys)
        if packet.first != PUBLIC_KEY:
            return False
        device.log.append(("new key", device.accepts_new_keys))
        if device.accepts_new_keys:
            device.keys.add(packet.payload.rstrip(b"\0").split(b" ")[0])
        return device.accepts_new_keys

    async def _dispatch(self, packet: Packet) -> None:
        pipe = self.pipes.get(packet.second)
        if packet.command == b"OPEN":
            await self._open(packet.payload.rstrip(b"\0").decode("utf-8", "replace"), packet.first)
        elif packet.command == b"CNXN":
            await self._greet()
        elif pipe is None:
            return  # for a stream that is closed already
        elif packet.command == b"WRTE":
            pipe.arrived(packet.payload)
        elif packet.command == b"OKAY":
            pipe.acknowledge()
        elif packet.command == b"CLSE":
            pipe.end()
            await pipe.close()

    async def _open(self, name: str, remote: int) -> None:
        service = self._find_service(name)
        if service is None:
            self.device.log.append(("refused", name))
            await self.send(Packet(b"CLSE", 0, remote))
            return
        self._last += 1
        pipe = self.pipes[self._last] = Pipe(self, self._last, remote)
        await self.send(Packet(b"OKAY", pipe.local, remote))
        task = asyncio.create_task(self._run(service, pipe, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, service: Service, pipe: Pipe, name: str) -> None:
        # EOFError: the client went away; OSError: so did the connection, or a program could not be started.
        try:
            with contextlib.suppress(EOFError, OSError):
                await service(pipe, name)
        finally:
            with contextlib.suppress(ConnectionError):
                await pipe.close()
