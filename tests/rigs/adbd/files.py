"""The service that transfers files, and its phone's disk, which can be full."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from pathlib import Path
from typing import IO

from tests.rigs.adbd.device import Device
from tests.rigs.adbd.wire import Pipe

_REQUEST = struct.Struct("<4sI")
_STAT = struct.Struct("<III")
_STAT_V2 = struct.Struct("<IQQIIIIQqqq")
_BLOCK = 1 << 16


class Files:
    """The `sync:` service of one phone."""

    def __init__(self, device: Device) -> None:
        self.device = device

    async def serve(self, pipe: Pipe, _name: str) -> None:
        """Answer requests until the client quits."""
        while True:
            request, size = _REQUEST.unpack(await pipe.read_exactly(_REQUEST.size))
            if request == b"QUIT":
                return
            argument = (await pipe.read_exactly(size)).decode()
            if request == b"STAT":
                await pipe.write(b"STAT" + _stat(self.device.path(argument)))
            elif request in (b"STA2", b"LST2"):
                await pipe.write(request + _stat_v2(self.device.path(argument), follow=request == b"STA2"))
            elif request in (b"LIST", b"LIS2"):
                await self._list(pipe, self.device.path(argument), is_new=request == b"LIS2")
            elif request == b"RECV":
                await self._send_to_client(pipe, argument)
            elif request == b"SEND":
                await self._receive_from_client(pipe, argument)
            else:
                await _fail(pipe, f"unknown request {request!r}")
                return

    async def _list(self, pipe: Pipe, folder: Path, *, is_new: bool) -> None:
        answer = bytearray()
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = entry.name.encode()
            answer += b"DNT2" + _stat_v2(entry, follow=False) if is_new else b"DENT" + _stat(entry)
            answer += struct.pack("<I", len(name)) + name
        await pipe.write(bytes(answer) + b"DONE" + bytes((_STAT_V2.size if is_new else _STAT.size) + 4))

    async def _send_to_client(self, pipe: Pipe, name: str) -> None:
        self.device.log.append(("pull", name))
        try:
            with self.device.path(name).open("rb") as file:
                while block := file.read(_BLOCK):
                    await pipe.write(_REQUEST.pack(b"DATA", len(block)) + block)
        except OSError as exc:
            await _fail(pipe, str(exc.strerror))
        else:
            await pipe.write(_REQUEST.pack(b"DONE", 0))

    async def _receive_from_client(self, pipe: Pipe, argument: str) -> None:
        name, _, mode = argument.rpartition(",")
        self.device.log.append(("push", name))
        incoming = _Incoming(self.device.path(name), self.device.faults.disk_bytes)
        try:
            while True:
                kind, number = _REQUEST.unpack(await pipe.read_exactly(_REQUEST.size))
                if kind == b"DONE":
                    break
                incoming.write(await pipe.read_exactly(number))
        except BaseException:  # the client went away, or this phone was cut off: as there, nothing is left
            incoming.discard("")
            raise
        incoming.finish(int(mode) & 0o777, modified=number)
        if incoming.error:
            await _fail(pipe, incoming.error)
        else:
            await pipe.write(_REQUEST.pack(b"OKAY", 0))


class _Incoming:
    """A file that is being received. After an error the rest is read and dropped, so that the client can be told."""

    def __init__(self, path: Path, disk_bytes: int | None) -> None:
        self.error = ""
        self._path, self._disk_bytes, self._size = path, disk_bytes, 0
        self._file: IO[bytes] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._file = path.open("wb")
        except OSError as exc:
            self.error = f"couldn't create file: {exc.strerror}"

    def write(self, block: bytes) -> None:
        if self._file is None:
            return
        self._size += len(block)
        if self._disk_bytes is not None and self._size > self._disk_bytes:
            self.discard(f"couldn't write file: {os.strerror(errno.ENOSPC)}")
        else:
            self._file.write(block)

    def discard(self, error: str) -> None:
        self.error = self.error or error
        if self._file:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)

    def finish(self, mode: int, modified: int) -> None:
        if self._file:
            self._file.close()
            with contextlib.suppress(OSError):
                self._path.chmod(mode)
                os.utime(self._path, (modified, modified))


async def _fail(pipe: Pipe, message: str) -> None:
    await pipe.write(_REQUEST.pack(b"FAIL", len(message.encode())) + message.encode())


def _stat(path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError:
        return _STAT.pack(0, 0, 0)
    return _STAT.pack(found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF)


def _stat_v2(path: Path, *, follow: bool) -> bytes:
    try:
        found = path.stat() if follow else path.lstat()
    except OSError as exc:
        return _STAT_V2.pack(exc.errno or errno.EIO, *(0,) * 10)
    return _STAT_V2.pack(
        0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid, found.st_size,
        int(found.st_atime), int(found.st_mtime), int(found.st_ctime),
    )  # fmt: skip
