"""bench's own folder on a device, looked at before anything is put there or started from there.

Whoever can write there, or put another folder in its place, has what they like run with our rights. So the folder and
what bench starts or opens in it must belong to the account that bench logs in with, and nobody else may write there.
Every folder above must be that account's or root's, and not open to others unless it is sticky as /tmp is; on Android
those down to `/data/local/tmp` are the system's. Below the workspace its owner counts as well, who decides anyhow what
bench runs.

The folder is marked when it is made. One without the mark is taken only when it is empty or an earlier bench made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import Unwritable
from harness.transports import Transport
from harness.transports.base import unwritable

MARK = ".edgebench"
FOLDERS = ("agent", "artifacts", "datasets", "env", "packs", "runtime", "wheels")
FILES = ("lock", "lock.running", MARK)

_QUICK_S = 60.0
_MAX_ANSWER = 1 << 18
_SHOWN = 5
_REMEDY = "name another folder with root = … in devices.toml"
_ANDROID = frozenset(("/data", "/data/data", "/data/local", "/data/local/tmp", "/data/user", "/data/user/0"))
_SYSTEM, _SHELL = 1000, 2000  # users of every Android

_INSIDE = " ".join(f'"$real"/{name}' for name in (*FOLDERS, *FILES, "agent/agent-*.pyz", "env/*.json"))
# Tells mode, owner and group (as numbers) of every folder from the root down, with and without following links, and of
# what bench starts or opens in its own; /proc/self/ is whose the account is. Then all names in the folder.
_LOOK = f"""
folder=$1
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
there=$folder
while [ "$there" ] && [ ! -d "$there" ]; do there=${{there%/*}}; done
real=$(cd "$there/" && pwd -P) || exit
echo "$folder"; echo "$real"; if [ "$there" = "$folder" ]; then echo there; else echo missing; fi
set -- / /proc/self/
for path in "$folder" "$real"; do
  while [ "$path" ] && [ "$path" != / ]; do
    if [ -e "$path" ] || [ -L "$path" ]; then set -- "$@" "$path"; fi
    path=${{path%/*}}
  done
done
for path in {_INSIDE} /system/bin/sh
do if [ -e "$path" ] || [ -L "$path" ]; then set -- "$@" "$path"; fi; done
LC_ALL=C ls -ldn "$@" || exit
echo; ls -A "$folder" 2>/dev/null || :
"""

_TAKE = f"""
umask 077; mkdir -p "$1" && chmod 700 "$1" && : > "$1/{MARK}" || exit
{{ echo 'bench (edgebench) made this folder; bench devices clean removes what it put here' > "$1/{MARK}"; }} 2>/dev/null
exit 0  # on a full disk the mark alone will do
"""


@dataclass(frozen=True)
class _Entry:
    """What `ls -ldn` says of a path."""

    mode: str
    uid: int
    gid: int

    @property
    def lets_others_in(self) -> bool:
        return self.mode[6] in "xs" or self.mode[9] in "xt"

    @property
    def is_sticky(self) -> bool:
        return self.mode[9] in "tT"


class _Look:
    """The device's answer, taken apart. Raises ValueError where it cannot be."""

    def __init__(self, said: bytes) -> None:
        facts, _, names = said[:_MAX_ANSWER].decode("utf-8", "replace").partition("\n\n")
        folder, real, there, *lines = facts.splitlines()
        self.folder, self.real = PurePosixPath(folder), PurePosixPath(real)
        self.entries: dict[str, _Entry] = {}
        for line in lines:
            mode, _, uid, gid, rest = line.split(None, 4)
            path = rest[rest.index(" /") + 1 :]  # behind size and date
            name = path.partition(" -> ")[0] if mode[0] == "l" else path
            self.entries[name] = _Entry(mode.ljust(10), int(uid), int(gid))
        self.me, self.root = self.entries.pop("/proc/self/"), self.entries["/"]
        self.is_there = there == "there" and str(self.real) in self.entries  # else somebody has just removed it
        self.names = sorted(set(names.splitlines())) if self.is_there else []
        self.foreign = [name for name in self.names if name not in (*FOLDERS, *FILES)]
        self.is_android = self.entries.pop("/system/bin/sh", None) is not None

    def writers(self, entry: _Entry) -> str:
        """Say who besides the owner may write, "" when nobody; a group of the user's own number has no one else."""
        if entry.mode[8] == "w":
            return "everybody"
        own_group = self.me.gid if self.me.gid == self.me.uid else 0
        return f"group {entry.gid}" if entry.mode[5] == "w" and entry.gid not in (0, own_group) else ""

    def above(self) -> list[str]:
        """Return what leads to the folder: the folders above it, links, and what these lead to."""
        real = self.real if self.is_there else self.real / "_"
        above = {str(path) for path in (*self.folder.parents, *real.parents)}
        if self.entries.get(str(self.folder), self.root).mode[0] == "l":
            above.add(str(self.folder))
        return sorted(above & set(self.entries))


def _look(transport: Transport, folder: PurePosixPath) -> _Look:
    done = transport.run(["sh", "-c", _LOOK, "sh", str(folder)], timeout_s=_QUICK_S)
    try:
        return _Look(done.stdout)
    except (ValueError, KeyError) as exc:
        said = done.last_words or "it said nothing of use"
        raise Unwritable(f"the device's shell cannot tell whose folder {folder} is: {said}") from exc


def claim(transport: Transport, folder: PurePosixPath, inside: Path | None = None) -> list[str]:
    """Make sure that `folder` on a device is bench's own, make and mark it if need be; return what else lies in it.

    `inside` is a folder of this machine around it whose owner is trusted. Raises TransportError, Unwritable when the
    folder is somebody else's or others could write there.
    """
    try:
        look = _look(transport, folder)
    except Unwritable:
        look = _look(transport, folder)  # files may go while they are listed
    trusted = {look.me.uid} if inside is None else {look.me.uid, inside.stat().st_uid}
    for path in look.above():
        if inside is None or (Path(path) != inside and Path(path).is_relative_to(inside)):
            _check_above(look, path, trusted | {0, look.root.uid})
    is_ours = MARK in look.names
    if look.is_there:
        if not is_ours:
            _check_foreign(look)
        _check_inside(look, trusted | ({_SHELL} if look.is_android and look.me.uid == 0 else set()))
    elif str(look.folder) in look.entries:
        raise Unwritable(f"{look.folder} there is no folder: {_REMEDY}")
    if not is_ours:
        _take(transport, look)
    return look.foreign


def _check_above(look: _Look, path: str, owners: set[int]) -> None:
    found = look.entries[path]
    if look.is_android and path in _ANDROID and found.uid in (0, _SYSTEM, _SHELL):
        return
    if found.uid not in owners:
        raise Unwritable(f"{path} there is user {found.uid}'s, who could exchange what is below it: {_REMEDY}")
    if found.mode[0] == "d" and not found.is_sticky and (writers := look.writers(found)):
        raise Unwritable(
            f"{path} there can be written by {writers}, who could exchange what is below it: {_REMEDY}, or take that "
            f"right away (chmod go-w)"
        )


def _check_inside(look: _Look, owners: set[int]) -> None:
    """Refuse what is not ours, can be written by others, or is no plain folder or file where bench needs one."""
    top = look.entries[str(look.real)]
    # An Android shell makes everything for everybody, out of whose reach it lies; taking the folder closes it.
    is_open = top.lets_others_in and not (look.is_android and MARK not in look.names)
    for path in sorted(path for path in look.entries if PurePosixPath(path).is_relative_to(look.real)):
        found = look.entries[path]
        name = str(PurePosixPath(path).relative_to(look.real))
        if found.uid not in owners:
            raise Unwritable(f"{path} there is user {found.uid}'s, and bench is user {look.me.uid}: {_REMEDY}")
        if found.mode[0] != ("d" if name == "." or name in FOLDERS else "-"):
            raise Unwritable(f"{path} there is no plain file or folder of bench's: remove it, or {_REMEDY}")
        if is_open and (writers := look.writers(found)):
            raise Unwritable(f"{path} there can be written by {writers}: {_REMEDY}, or remove it")


def _check_foreign(look: _Look) -> None:
    """Refuse a folder without our mark that is neither empty nor an earlier bench's."""
    is_known = any(PurePosixPath(path).parent.parent == look.real for path in look.entries)  # an agent, an environment
    if look.names and (look.foreign or not is_known):
        shown = ", ".join(repr(name)[:60] for name in (look.foreign or look.names)[:_SHOWN])
        raise Unwritable(f"{look.folder} there is not bench's own, it holds {shown}: {_REMEDY}")


def _take(transport: Transport, look: _Look) -> None:
    """Make a folder that is missing, close it to others and mark it. Raises Unwritable."""
    done = transport.run(["sh", "-c", _TAKE, "sh", str(look.folder)], timeout_s=_QUICK_S)
    if done.exit_code != 0 and not look.is_there:  # on a full disk one that is there can still be cleaned
        what, why = f"{look.folder} cannot be made there", done.last_words or "it said nothing"
        raise unwritable(what, why) or Unwritable(f"{what}: {why}; {_REMEDY}")
