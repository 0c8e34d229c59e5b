"""Files to and from an Android device, through a shell's standard streams.

A file is appended to a part with a name of its own, checked there, and only then renamed. A cut leaves the part, and
the next push goes on where it ends.
"""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from harness.errors import ConnectError, TransferError
from harness.transports.adb.connection import AdbConnection
from harness.transports.adb.shell import Shell
from harness.transports.base import MAX_PULL_BYTES, unwritable
from results.files import sha256_of

_BLOCK = 1 << 20
_HASH_BYTES_PER_S = 10e6  # slower than any device that was seen: bounds the wait for its checksum

# Says whether the target $t has the size $n and the hash $h already. If not: appends standard input to the part $p,
# after saying how much of it is there, hashes the whole on the way (on a device with two cores that costs no time),
# gives it its name when all is right, and says what it found: hash and size. Without sha256sum (an unusual ROM) only
# the size can be compared. Whoever still writes to the part is what is left of a push that was cut, on a device that
# has not noticed yet; this shell ($$) has the part in its command line too. A small file gets a part of its own
# instead, since two hosts may bring the same agent at once.
_PUSH = f"""\
size() {{ stat -c %s "$1" 2>/dev/null || wc -c < "$1"; }}
for tool in cat mkdir mv; do
  command -v $tool >/dev/null || {{ echo "its shell has no $tool" >&2; exit 127; }}
done
if command -v sha256sum >/dev/null; then checks=1; else checks=; fi
if [ "$checks" ] && [ -f "$t" ] && [ "$(size "$t")" = $n ]; then
  case $(sha256sum < "$t") in $h*) echo all; exit;; esac
fi
mkdir -p "${{t%/*}}" || exit
if [ $n -le {256 << 10} ]; then p=$p.$$; trap 'rm -f "$p"' EXIT HUP; elif [ -s "$p" ]; then
  for old in $(grep -lF "$p" /proc/[0-9]*/cmdline 2>/dev/null); do
    old=${{old#/proc/}}; old=${{old%/*}}
    [ $old = $$ ] || kill -KILL $old 2>/dev/null
  done
fi
: >> "$p" && size "$p" || exit
if [ "$checks" ] && command -v tee >/dev/null; then found=$({{ cat "$p"; tee -a "$p"; }} | sha256sum)
else
  cat >> "$p"
  if [ "$checks" ]; then found=$(sha256sum < "$p"); else found=none; fi
fi
there=$(size "$p")
if [ $there = $n ]; then case $found in $h*|none) mv -f "$p" "$t" || exit;; esac; fi
echo ${{found%% *}} $there
"""

# A device that says so will not take the rest either. Other words on standard error may be a linker's warnings.
_HOPELESS = re.compile(rb"No space left|File too large|[Qq]uota exceeded|Read-only|I/O error|Input/output error")


class _Damaged(Exception):
    """The part on the device is not the beginning of the file, or not the file."""


def push(connection: AdbConnection, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
    """Copy a file to the device, going on with a part of an earlier try. Raises TransferError."""
    what = f"{source} cannot be copied to {target} on {connection.serial}"
    try:
        sha256 = sha256 or sha256_of(source)
        with source.open("rb") as file:
            try:
                _upload(connection, file, target, sha256, afresh=False)
            except _Damaged:
                _upload(connection, file, target, sha256, afresh=True)
    except OSError as exc:
        raise TransferError(f"{source} cannot be read: {exc.strerror}") from exc
    except (ConnectError, TransferError) as exc:
        raise unwritable(what, str(exc)) or TransferError(f"{what}: {exc}") from exc
    except _Damaged as exc:
        raise TransferError(f"{what}: what arrived is not what was sent ({exc})") from exc


def _upload(connection: AdbConnection, file: BinaryIO, target: PurePosixPath, sha256: str, *, afresh: bool) -> None:
    size = file.seek(0, 2)
    limit_s = connection.timeout_s + size / _HASH_BYTES_PER_S
    part = shlex.quote(str(target.parent / f".{target.name}.{size}.part"))
    clear = f"rm -f {part}; " if afresh else ""
    with connection.shell(f"{clear}p={part} t={shlex.quote(str(target))} n={size} h={sha256}; {_PUSH}") as shell:
        said = _line(connection, shell, limit_s)
        if said == "all":
            return
        there = _number(said)
        if there > size:
            raise _Damaged(f"{there} bytes are there already")
        _send(connection, shell, file, there)
        if not _HOPELESS.search(shell.stderr):
            found, _, arrived = _line(connection, shell, limit_s).partition(" ")
            _wait(shell, connection.timeout_s)
    if _HOPELESS.search(shell.stderr):
        with connection.shell(f"exec rm -f {part}") as removing:  # in the way, and no use
            _wait(removing, connection.timeout_s)
        raise _failure(connection, shell)
    if _number(arrived) != size or found not in (sha256, "none"):
        raise _Damaged(f"{arrived[:20]} of {size} bytes, sha256 {found[:64]}")
    connection.checks_by = "size" if found == "none" else "sha256"


def _send(connection: AdbConnection, shell: Shell, file: BinaryIO, there: int) -> None:
    """Send what is missing, as long as the device takes it."""
    file.seek(there)
    while (block := file.read(_BLOCK)) and not _HOPELESS.search(shell.stderr):
        if not shell.send(block, connection.timeout_s):
            raise TransferError(_stood_still(connection))
        if shell.ended:
            raise _failure(connection, shell)
    if not shell.close_stdin(connection.timeout_s):
        raise TransferError(_stood_still(connection))


def pull(connection: AdbConnection, source: PurePosixPath, target: Path) -> None:
    """Copy a file from the device. Raises TransferError."""
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file, connection.shell(f"exec cat {shlex.quote(str(source))}") as shell:
            _receive(connection, shell, file)
        part.replace(target)
    except OSError as exc:
        raise TransferError(f"{source} cannot be copied to {target}: {exc.strerror}") from exc
    except (ConnectError, TransferError) as exc:
        raise TransferError(f"{source} cannot be copied from {connection.serial}: {exc}") from exc
    finally:
        part.unlink(missing_ok=True)


def _receive(connection: AdbConnection, shell: Shell, file: BinaryIO) -> None:
    size, deadline = 0, time.monotonic() + connection.timeout_s
    while not shell.ended or shell.stdout:
        if shell.stdout:
            deadline = time.monotonic() + connection.timeout_s
        size += file.write(shell.stdout)
        shell.stdout.clear()
        if size > MAX_PULL_BYTES:
            raise TransferError(f"it is larger than {MAX_PULL_BYTES} bytes")
        if not shell.ended and not shell.turn(deadline):
            raise TransferError(_stood_still(connection))
    if shell.exit_code != 0:
        raise _failure(connection, shell)


def _number(said: str) -> int:
    if not re.fullmatch(r"\s*\d{1,18}", said, re.ASCII):
        raise TransferError(f"the device answered {said[:100]!r} where a size was due")
    return int(said)


def _line(connection: AdbConnection, shell: Shell, timeout_s: float) -> str:
    """Return the next line the device prints. Raises TransferError when there is none."""
    deadline = time.monotonic() + timeout_s
    while (end := shell.stdout.find(b"\n")) < 0:
        if shell.ended or len(shell.stdout) > _BLOCK:
            raise _failure(connection, shell)
        if not shell.turn(deadline):
            raise TransferError(f"no answer for {timeout_s:g} s")
    line = bytes(shell.stdout[:end]).decode("ascii", "replace")
    del shell.stdout[: end + 1]
    return line


def _wait(shell: Shell, timeout_s: float) -> None:
    if not shell.drain(time.monotonic() + timeout_s):
        raise TransferError(f"no answer for {timeout_s:g} s")


def _failure(connection: AdbConnection, shell: Shell) -> TransferError | ConnectError:
    """Say why a shell ended early, in the device's own words where there are any."""
    if shell.is_lost:
        return connection.lost("a file was copied")
    said = bytes(shell.stderr).decode("utf-8", "replace").strip().splitlines()[-1:]
    return TransferError(said[0][:300] if said else f"it ended with code {shell.exit_code}")


def _stood_still(connection: AdbConnection) -> str:
    return f"nothing moved for {connection.timeout_s:g} s"
