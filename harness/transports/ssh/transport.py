"""A device over SSH. Commands and files go through plain sessions: neither SFTP nor a certain shell is needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from harness.errors import AgentError, CommandTimeout, ConnectError, TransferError, TransportError
from harness.transports.base import MAX_PULL_BYTES, Completed, Stream, Transport, unwritable
from harness.transports.ssh.connection import Connection
from harness.transports.ssh.login import Login
from harness.transports.ssh.stream import SshStream
from results.files import sha256_of

_CHUNK_BYTES = 1 << 20
# How long the device may take to check the hash of a pushed file; that it lives at all is watched elsewhere.
_HASH_S = 600.0
_DAMAGED = 4

# Says how much of the file is there, takes the rest, and gives it its name when its hash is right: one session a file.
# A small file gets a part of its own, since two hosts may bring the same agent at once. A large one goes on with the
# part of an earlier push, whose shell may still write to it over a connection that the device believes in: its process
# group is ended. (A server that starts no groups has one for all, ours too, which is left alone.) Python, where it is
# there, hashes a large file on the way: a moment to start, but then several times as fast as coreutils, and nothing
# left to do in the end.
_PUSH = f"""
part=$1 target=$2 size=$3 sha256=$4 python=$5
digest() {{
  {{ sha256sum <"$1" || shasum -a 256 <"$1" || "$python" -c '
import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())' <"$1"; }} 2>/dev/null
}}
receive() {{
  "$python" -I -c '
import hashlib, sys
h = hashlib.sha256()
with open(sys.argv[1], "ab+") as file:
    file.seek(0)
    for block in iter(lambda: file.read(1 << 20), b""):
        h.update(block)
    for block in iter(lambda: sys.stdin.buffer.read1(1 << 18), b""):
        file.write(block)
        file.flush()
        h.update(block)
print(h.hexdigest())' "$1"
}}
if [ -f "$target" ] && [ "$(wc -c <"$target")" -eq "$size" ]; then
  case $(digest "$target") in "$sha256"*) echo all; exit ;; esac
fi
mkdir -p "${{target%/*}}" || exit 1
if [ "$size" -le {256 << 10} ]; then part=$part-$$; elif [ -s "$part" ]; then
  read -r _ _ _ _ mine _ </proc/$$/stat
  for old in $(grep -lF "$part" /proc/[0-9]*/cmdline); do
    read -r _ _ _ _ group _ <"${{old%/*}}/stat" && [ "$group" != "$mine" ] && kill -9 "-$group"
  done
fi 2>/dev/null
: >>"$part" || exit 1
[ "$(wc -c <"$part")" -le "$size" ] || : >"$part"
wc -c <"$part"
if [ "$size" -gt {8 << 20} ] && command -v "$python" >/dev/null; then
  found=$(receive "$part") || {{ rm -f "$part"; exit 1; }}
else
  cat >>"$part" || {{ rm -f "$part"; exit 1; }}
  found=$(digest "$part")
fi
there=$(wc -c <"$part")
if [ "$there" -ne "$size" ]; then
  case $part in *-$$) rm -f "$part" ;; esac
  echo "only $there of $size bytes arrived" >&2; exit 3
fi
case $found in
"") echo "neither sha256sum nor Python is there to check what arrived" >&2; exit 5 ;;
"$sha256"*) mv -f "$part" "$target" ;;
*) rm -f "$part"; exit {_DAMAGED} ;;
esac
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
            stream.write(stdin)
            return stream.finish(timeout_s)
        finally:
            stream.close()

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        stream = SshStream(self._connection, command)
        stream.write(stdin)
        return stream

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        try:
            size = source.stat().st_size
            part = f"{_anchored(target.parent)}/.part-{_likeness(source, size)}"
            arguments = [part, _anchored(target), str(size), sha256 or sha256_of(source), self._python]
            resumed, arrived = self._send(source, arguments)
            # An older part was not what its name says, and is gone now: once more, from the start.
            if not arrived and not (resumed and self._send(source, arguments)[1]):
                raise TransferError("it arrived damaged")
        except OSError as exc:
            raise TransferError(f"{source} cannot be read: {exc.strerror or exc}") from exc
        except ConnectError:
            raise
        except TransportError as exc:
            what = f"{source} cannot be copied to {self._connection}:{target}"
            raise unwritable(what, str(exc)) or TransferError(f"{what}: {exc}") from exc

    def _send(self, source: Path, arguments: Sequence[str]) -> tuple[bool, bool]:
        """Send what is missing; tell whether some of it was there, and whether it is whole. Raises TransferError."""
        stream = SshStream(self._connection, ["sh", "-c", _PUSH, "sh", *arguments])
        try:
            said = (stream.read_line(_HASH_S) or b"").decode("ascii", "replace").strip()
            if re.fullmatch(r"\d{1,15}", said):
                with source.open("rb") as file:
                    file.seek(int(said))
                    while stream.wants_input and (chunk := file.read(_CHUNK_BYTES)):
                        stream.write(chunk)
            ended = stream.finish(_HASH_S)
        finally:
            stream.close()
        if ended.exit_code not in (0, _DAMAGED):
            raise TransferError(_last_words(ended) or f"the device's shell ended with {ended.exit_code}")
        return said != "0", ended.exit_code == 0

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


def _last_words(ended: Completed) -> str:
    lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else ""
