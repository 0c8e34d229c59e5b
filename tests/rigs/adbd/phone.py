"""A phone that can be plugged in and out, and an adb server that knows no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.rigs.adbd.device import Device, Faults
from tests.rigs.adbd.files import Files
from tests.rigs.adbd.shells import Shells, forward
from tests.rigs.adbd.wire import Connection, Pipe, Service
from tests.rigs.waiting import wait_until

REBOOT_S = 0.3


class Phone:
    """A device's adb daemon on a loopback port, in a thread of its own. A context manager."""

    def __init__(self, device: Device | None = None) -> None:
        self.device = device or Device()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phone", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._shells = Shells(self.device)
        self._files = Files(self.device)

    @property
    def serial(self) -> str:
        """What the adb server calls it."""
        return f"127.0.0.1:{self.port}"

    @property
    def faults(self) -> Faults:
        """How it misbehaves."""
        return self.device.faults

    def __enter__(self) -> Self:
        self._thread.start()
        self.plug_in()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.faults.stalled = False
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def plug_in(self) -> None:
        """Accept connections, on the same port as before."""
        self._call(self._listen())

    def unplug(self) -> None:
        """Cut every connection and accept no more. What runs there goes on."""
        self._call(self._unplug())

    def reboot(self) -> None:
        """End everything that runs there; be back after REBOOT_S."""
        self._call(self._reboot())

    def asked_for(self, kind: str) -> list[Any]:
        """Return the arguments of every request of one kind so far."""
        return [entry[1] for entry in list(self.device.log) if entry[0] == kind]

    def processes(self, word: str = "") -> list[int]:
        """Return the processes that run there; with `word` in their command line."""
        return self._shells.processes(word)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=4 << 20)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self.device, reader, writer, self._find_service)
        self._connections.add(connection)
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
            self._serving.discard(task)

    def _find_service(self, name: str) -> Service | None:
        kind = name.partition(":")[0].split(",")[0]
        services: dict[str, Service] = {
            "shell": self._shells.serve,
            "exec": self._shells.serve,
            "sync": self._files.serve,
            "tcp": forward,
            "reboot": self._serve_reboot,
        }
        return services.get(kind)

    async def _serve_reboot(self, pipe: Pipe, _name: str) -> None:
        self.device.log.append(("reboot", ""))
        await pipe.close()
        self._loop.create_task(self._reboot())  # not ours to await: it ends this very connection

    async def _unplug(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    async def _reboot(self) -> None:
        await self._unplug()
        self._shells.kill_all()
        await asyncio.sleep(REBOOT_S)
        await self._listen()

    async def _stop(self) -> None:
        await self._unplug()
        while self._serving:  # a command may start while the others are being ended
            self._shells.kill_all()
            await asyncio.wait(self._serving, timeout=0.2)
        self._shells.kill_all()


class AdbServer:
    """A private adb server: its own port and home, no USB, no emulators, no discovery. A context manager."""

    def __init__(self, adb: str, home: Path) -> None:
        self.adb = adb
        self.home = home
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of everything that is to use this server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ADB_", "ANDROID_"))}
        switches = dict.fromkeys(("ADB_USB", "ADB_EMU", "ADB_MDNS", "ADB_LIBUSB"), "0")
        return {**kept, **switches, "HOME": str(self.home), "ANDROID_ADB_SERVER_PORT": str(self.port)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.home.mkdir(parents=True, exist_ok=True)
        # It ends with the process that started it, however that ends.
        command = ["setpriv", "--pdeathsig", "KILL", self.adb, "-L", f"tcp:localhost:{self.port}", "nodaemon", "server"]
        log = (self.home / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._listens)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill it."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def client(self, *arguments: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run the adb client on this server."""
        return subprocess.run(
            [self.adb, *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def connect(self, phone: Phone, state: str = "device") -> str:
        """Make the phone known and wait for its state; returns its serial."""
        self.client("connect", phone.serial)
        wait_until(lambda: f"{phone.serial}\t{state}" in self.client("devices").stdout.splitlines())
        return phone.serial
