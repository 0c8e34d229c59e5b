"""Models and data sets on this device, held under a bound: the least recently used go first, never what a run needs.

A folder `artifacts/<SHA-256>/` or `datasets/<SHA-256>/` is as old as its last use: every run that needs it sets its
time anew, as it does for the agent. Only folders named by a hash are removed, and what pushes that were cut have left.
A file with several names (on the host itself an earlier bench made links to the store's files) takes no room of its
own.
"""

import os
import re
import shutil
from typing import Any, Dict, List, Set

from harness.agent.files import free_bytes, listing
from harness.agent.guard import is_in_use

# Without a bound of its own a cache has at most this, and at most 3/4 of what would be free without it.
DEFAULT_BYTES = 8 * 10**9
# What a push leaves free on the disk.
SPARE_BYTES = 32 << 20
# A younger agent may be another host's, which waits for the device.
_AGENT_S = 24 * 3600
_MAX_NAMES = 200

_KINDS = ("artifacts", "datasets")
_HASH = re.compile(r"[0-9a-f]{64}")
_AGENT = re.compile(r"\.?agent-[0-9a-f]{16}\.pyz|\.part-[0-9a-f]{32}|\.push-.{8}$")
_PART = re.compile(r"\.part-|\.push-|\..*\.part")


def make_room(cache: Dict[str, Any], files: List[Dict[str, Any]], missing: List[str], agent: str) -> Dict[str, Any]:
    """Make room for a run's `files` ({path, size_bytes}) that are `missing`; if they cannot fit, remove nothing.

    `cache` is {root, max_bytes or None}, `agent` this agent's own path. Returns the event's `cache`.
    """
    root = cache["root"]
    needed = _folders(root, [file["path"] for file in files])
    incomplete = _folders(root, missing)
    for name in needed:
        _use(os.path.join(root, name))
    for name in needed - incomplete:
        _drop_parts(os.path.join(root, name))
    _drop_agents(os.path.dirname(agent), os.path.basename(agent), _use(agent))

    sizes = {name: _size(os.path.join(root, name)) for name in _kept(root)}
    used = sum(sizes.values())
    kept = sum(sizes[name] for name in needed if name in sizes)
    free = free_bytes(root)
    bound = cache["max_bytes"] or min(DEFAULT_BYTES, (free + used) * 3 // 4)
    # What a cut push has left is not sent again.
    begun = sum(_size(os.path.join(root, name), _PART) for name in incomplete)
    asked = max(0, sum(file["size_bytes"] for file in files if file["path"] in set(missing)) - begun)
    fits = not asked or (kept + asked <= bound and asked + SPARE_BYTES <= free + used - kept)
    removed = []
    for name in sorted(set(sizes) - needed, key=lambda name: _last_use(os.path.join(root, name))):
        if not fits or (used + asked <= bound and (not asked or asked + SPARE_BYTES <= free)):
            break
        if is_in_use(os.path.join(root, name), unknown=False):
            continue
        shutil.rmtree(os.path.join(root, name), ignore_errors=True)
        if not os.path.exists(os.path.join(root, name)):
            removed.append(name)
            used -= sizes[name]
            free = free_bytes(root)
    return {
        "fits": fits,
        "needed_bytes": asked,
        "kept_bytes": kept,
        "used_bytes": used,
        "free_bytes": free,
        "bound_bytes": bound,
        "removed": [os.path.basename(name) for name in removed[:_MAX_NAMES]],
        "removed_bytes": sum(sizes[name] for name in removed),
    }


def _use(path: str) -> float:
    """Set the time of a last use anew; return it, by the clock of the disk, 0 when it cannot be set."""
    try:
        os.utime(path)
    except OSError:
        return 0.0
    return _last_use(path)


def _last_use(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _folders(root: str, paths: List[str]) -> Set[str]:
    """Return which folders of the cache hold these files, however deep, as `artifacts/<SHA-256>`."""
    parts = [os.path.relpath(path, root).split(os.sep) for path in paths]
    return {"/".join(part[:2]) for part in parts if part[0] in _KINDS and _HASH.fullmatch("".join(part[1:2]))}


def _kept(root: str) -> List[str]:
    """Return the folders of the cache that are there."""
    found = ((kind, name) for kind in _KINDS for name in listing(os.path.join(root, kind)))
    return ["/".join((kind, name)) for kind, name in found if _HASH.fullmatch(name)]


def _drop_parts(folder: str) -> None:
    for there, folders, names in os.walk(folder):
        for name in folders + names:
            if _PART.match(name):
                _remove(os.path.join(there, name))


def _drop_agents(folder: str, own: str, now: float) -> None:
    """Remove old agents that nobody runs, and what is left of pushing one; `now` is by the clock of the disk."""
    for name in listing(folder):
        path = os.path.join(folder, name)
        if (
            name != own
            and _AGENT.match(name)
            and _last_use(path) < now - _AGENT_S
            and not is_in_use(path, unknown=True)
        ):
            _remove(path)


def _remove(path: str) -> None:
    try:
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    except OSError:
        pass  # not ours to remove, and no reason not to measure


def _size(folder: str, which: Any = re.compile("")) -> int:
    """Return what the files in a folder and below it take whose names begin as `which`."""
    total = 0
    for there, _, names in os.walk(folder):
        for name in names:
            try:
                state = os.lstat(os.path.join(there, name))
            except OSError:
                continue
            if state.st_nlink == 1 and which.match(name):
                total += state.st_size
    return total
