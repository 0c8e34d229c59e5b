"""A TCP proxy with faults, before any server: delay, slow, cut, stall. Needs no rights and no packages."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# How long a stalled connection lasts; then it is reset, as a server's keep-alive would do at last.
_STALL_S = 120.0


@dataclass
class Faults:
    """What happens to the bytes that the client sends; may be changed while they flow.

    `delay_s` before each piece in both directions; at most `bytes_per_s` to the server; a reset after `cut_after`
    bytes; nothing goes on in either direction after `stall_after` bytes, while the connections stay open for two
    minutes more.
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: int | None = None
    stall_after: int | None = None


class FaultProxy:
    """Listens on `port` of the loopback and passes everything on to the server's port. `sent` counts to the server."""

    def __init__(self, server_port: int) -> None:
        self.faults = Faults()
        self.sent = 0
        self.connections = 0
        self._server_port = server_port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """Let everything pass again; connections that were cut or stalled stay so."""
        self.change(Faults())

    def change(self, faults: Faults) -> None:
        """Let other faults meet the connections to come, which count anew."""
        self.faults = faults
        self.sent = 0

    def cut(self) -> None:
        """Reset every connection now."""
        for pair in self._pairs:
            for end in pair:
                _reset(end)
        self._pairs.clear()

    def stall(self) -> None:
        """Let nothing more pass on the connections that are open now; those opened later are whole."""
        self.faults.stall_after = 0
        time.sleep(0.3)
        self.heal()

    def close(self) -> None:
        """Stop listening and cut what is open."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                if self._listener.fileno() < 0:
                    return
                _reset(client)
                continue
            self.connections += 1
            self._pairs.append((client, server))
            # A fault belongs to the connections that met it: after `heal` the next one is whole.
            for source, sink, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, self.faults, up), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, faults: Faults, up: bool) -> None:
        with suppress(OSError, ValueError):
            while data := source.recv(16384):
                time.sleep(faults.delay_s + (len(data) / faults.bytes_per_s if up and faults.bytes_per_s else 0))
                self.sent += len(data) if up else 0
                stalled = faults.stall_after is not None and self.sent > faults.stall_after
                if stalled:
                    time.sleep(_STALL_S)  # a daemon thread's sleep
                if stalled or (faults.cut_after is not None and self.sent > faults.cut_after):
                    _reset(source)
                    _reset(sink)
                    return
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def _reset(end: socket.socket) -> None:
    """Close with a reset, as a peer that vanished and came back does."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def between(server_port: int) -> Iterator[FaultProxy]:
    """A proxy for the length of a block."""
    proxy = FaultProxy(server_port)
    try:
        yield proxy
    finally:
        proxy.close()
