"""A device over SSH. Commands and files go through plain sessions: neither SFTP nor a certain shell is needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from harness.errors import AgentError, CommandTimeout, ConnectError, TransferError, TransportError
from harness.transports.base import Completed, Stream, Transport
from harness.transports.ssh_connection import Connection, Login
from harness.transports.ssh_stream import SshStream

MAX_PULL_BYTES = 1 << 30
# Files up to this size are sent without asking first whether the device has a part of them.
_SMALL_BYTES = 256 << 10
_CHUNK_BYTES = 1 << 20
_HEX = 64  # digits of a SHA-256
# How long the device may take to check the hash of a pushed file; that it lives at all is watched elsewhere.
_HASH_S = 600.0

# $1 part, $2 target, $3 size, $4 bytes already there, $5 a Python
_HASH = (
    '{ sha256sum <"$F" || shasum -a 256 <"$F" || '
    '"$5" -c "import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())" <"$F"; } 2>/dev/null'
)
# Prints the hash of a target of the right size, else how much of it an earlier push has left.
_BEGIN = f"""
F=$2
if [ -f "$2" ] && [ "$(wc -c <"$2")" -eq "$3" ]; then {_HASH}
elif [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi
"""
# Prints the hash of what lies on the disk in the end.
_RECEIVE = f"""
mkdir -p "${{2%/*}}" || exit 1
[ "$4" -gt 0 ] || rm -f "$1"
cat >>"$1" || {{ rm -f "$1"; exit 1; }}
[ "$(wc -c <"$1")" -eq "$3" ] || {{ echo "only $(wc -c <"$1") of $3 bytes arrived" >&2; exit 3; }}
F=$1
{_HASH} || {{ echo "neither sha256sum nor Python is there to check what arrived" >&2; exit 5; }}
"""


class SshTransport(Transport):
    """One device over one connection; every command is a session of its own."""

    shared = True

    def __init__(self, login: Login, python: str = "python3") -> None:
        """Connect. `python` checks hashes where no other program can. Raises ConnectError and its kinds."""
        self._connection = Connection(login)
        self._python = python

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        stream = SshStream(self._connection, command)
        try:
            stream.send(stdin)
            return stream.finish(timeout_s)
        finally:
            stream.close()

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        stream = SshStream(self._connection, command)
        stream.send(stdin)
        return stream

    def push(self, source: Path, target: PurePosixPath) -> None:
        try:
            size = source.stat().st_size
            part = f"{_anchored(target.parent)}/.part-{_likeness(source, size)}"
            # The hash is computed while the file is on its way.
            with ThreadPoolExecutor(1) as beside:
                digest = beside.submit(_sha256, source)
                self._push(source, [part, _anchored(target), str(size)], digest)
        except OSError as exc:
            raise TransferError(f"{source} cannot be read: {exc.strerror or exc}") from exc
        except ConnectError:
            raise
        except TransportError as exc:
            raise TransferError(f"{source} cannot be copied to {self._connection}:{target}: {exc}") from exc

    def _push(self, source: Path, arguments: list[str], digest: Future[str]) -> None:
        """Send what is missing under a temporary name, and give it its name when the hash is right."""
        part, target, size = arguments
        there = 0
        if int(size) > _SMALL_BYTES:
            answered = self.run(["sh", "-c", _BEGIN, "sh", *arguments, "0", self._python], timeout_s=_HASH_S)
            said = answered.stdout.decode("ascii", "replace").split()[:1]
            if len("".join(said)) == _HEX and said == [digest.result()]:
                return
            there = int(said[0]) if said and re.fullmatch(r"\d{1,15}", said[0]) else 0
        if self._send(source, arguments, there if there <= int(size) else 0) != digest.result():
            self.run(["rm", "-f", part], timeout_s=_HASH_S)
            # An older part was not what its name says: once more, from the start.
            if not there or self._send(source, arguments, 0) != digest.result():
                raise TransferError("it arrived damaged")
        moved = self.run(["mv", "-f", part, target], timeout_s=_HASH_S)
        if moved.exit_code != 0:
            raise TransferError(_last_words(moved) or "it cannot be given its name")

    def _send(self, source: Path, arguments: list[str], offset: int) -> str:
        """Send the file from `offset` on; return the hash of the whole as the device has it. Raises TransferError."""
        command = ["sh", "-c", _RECEIVE, "sh", *arguments, str(offset), self._python]
        stream = SshStream(self._connection, command)
        try:
            with source.open("rb") as file:
                file.seek(offset)
                while stream.wants_input and (chunk := file.read(_CHUNK_BYTES)):
                    stream.send(chunk)
            ended = stream.finish(_HASH_S)
        finally:
            stream.close()
        if ended.exit_code != 0:
            raise TransferError(_last_words(ended) or f"the device's shell ended with {ended.exit_code}")
        return ended.stdout.decode("ascii", "replace")[:_HEX]

    def pull(self, source: PurePosixPath, target: Path) -> None:
        stream = SshStream(self._connection, ["cat", _anchored(source)])
        part = target.with_name(f".{target.name}.part")
        try:
            stream.close_input()
            with part.open("wb") as file:
                stream.copy_to(file.write, MAX_PULL_BYTES)
            ended = stream.close()
            if ended.exit_code != 0:
                raise TransferError(_last_words(ended) or "the copy ended early")
            part.replace(target)
        except OSError as exc:
            raise TransferError(f"{source} cannot be copied to {target}: {exc.strerror or exc}") from exc
        except (TransferError, AgentError, CommandTimeout) as exc:
            raise TransferError(f"{self._connection}:{source} cannot be copied to {target}: {exc}") from exc
        finally:
            stream.close()
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the device go; commands there lose their standard input, at which the agent ends."""
        self._connection.close()


def _anchored(path: PurePosixPath) -> str:
    """Return a path that no program takes for an option and that has a folder."""
    return str(path) if path.is_absolute() else f"./{path}"


def _likeness(path: Path, size: int) -> str:
    """Return a name for the file's content that costs little: of its size, its beginning and its end.

    It only has to find the part that a cut push has left; the hash of the whole decides in the end.
    """
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_CHUNK_BYTES))
        file.seek(max(0, size - _CHUNK_BYTES))
        digest.update(file.read(_CHUNK_BYTES))
    return digest.hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_words(ended: Completed) -> str:
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
