"""A device made of a function: for tests of everything above a transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.errors import CommandTimeout, ConnectError, TransferError
from harness.transports.base import Completed, Stream, Transport

# Gets the command and its standard input; yields lines of standard output. An exception it raises is the transport's,
# None instead of a line is silence until the time-out.
Handler = Callable[[Sequence[str], bytes], Iterator[bytes | None]]


class FakeTransport(Transport):
    """Answers commands with `handler` and keeps pushed files in `files`."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.files: dict[PurePosixPath, bytes] = {}
        self._closed = False

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        stream = self.stream(command, stdin=stdin)
        lines = []
        while (line := stream.read_line(timeout_s)) is not None:
            lines.append(line + b"\n")
        return Completed(0, b"".join(lines), b"")

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        if self._closed:
            raise ConnectError("the device was let go")
        return FakeStream(self.handler(command, stdin))

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        try:
            self.files[target] = source.read_bytes()
        except OSError as exc:
            raise TransferError(f"{source} cannot be read: {exc.strerror}") from exc

    def pull(self, source: PurePosixPath, target: Path) -> None:
        if source not in self.files:
            raise TransferError(f"{source}: no such file on the device")
        target.write_bytes(self.files[source])

    def close(self) -> None:
        self._closed = True


class FakeStream(Stream):
    """Lines from a handler."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines

    def read_line(self, timeout_s: float) -> bytes | None:
        for line in self._lines:
            if line is None:
                raise CommandTimeout(f"no answer within {timeout_s:g} s")
            return line
        return None

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> Completed:
        return Completed(0, b"", b"")
