"""Setting a device up: what its Python is, whether what was pushed is whole, unpacking, importing, activating.

One event: `described` (python, implementation, machine, bits, libc, free_bytes), `verified` (whole: those of the
folders that are; versions: what was imported in the environment before), `imported` (version), `finished` for the other
actions. The standard library alone: there is no NumPy yet. Below the device's folder:

    packs/<sha256>.whl     what was pushed and is not unpacked yet
    wheels/<sha256>/       an unpacked wheel; the folder gets its name when it is complete
    env/<id>.json          {"paths": [...], "versions": {...}}: what the agent's `--site` reads; written last
    runtime/<sha256>/      the interpreter and C library of a device that has none
"""

import base64
import importlib
import json
import os
import platform
import re
import shutil
import sys
import zipfile
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Callable, Dict, List

from harness.agent.files import free_bytes, listing, sha256_of

Event = Dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to do below `root`, and with what; an action takes the fields that its function below reads."""

    action: str
    root: str
    give_up_after_s: float
    folders: List[str] = field(default_factory=list)
    environment: str = ""
    wheels: List[str] = field(default_factory=list)
    runtimes: List[str] = field(default_factory=list)
    versions: Dict[str, str] = field(default_factory=dict)
    module: str = ""
    package: str = ""


def describe(request: Request) -> Event:
    """Tell what this Python is and how much space there is for the root."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        libc = ""  # it is none of GNU's
    return {
        "event": "described",
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libc": libc,
        "free_bytes": free_bytes(request.root),
    }


def verify(request: Request) -> Event:
    """Tell which folders are whole, and what was imported in the environment when it was set up."""
    try:
        with open(os.path.join(request.root, "env", request.environment)) as file:
            versions = dict(json.load(file)["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        versions = {}
    whole = [folder for folder in request.folders if is_whole(os.path.join(request.root, folder))]
    return {"event": "verified", "whole": whole, "versions": versions}


def unpack(request: Request) -> Event:
    """Unpack pushed wheels."""
    for sha256 in request.wheels:
        unpack_one(request.root, sha256)
    return {"event": "finished"}


def try_import(request: Request) -> Event:
    """Import a runtime from the unpacked wheels and tell its version."""
    sys.path[:0] = _paths(request)
    importlib.import_module(request.module)
    return {"event": "imported", "version": metadata.version(request.package)}


def activate(request: Request) -> Event:
    """Write the environment's file, then remove what no environment needs any more.

    When it returns, everything is on the disk: a device may lose its power at any moment.
    """
    root, name = request.root, request.environment
    folder = os.path.join(root, "env")
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, "{}.part-{}".format(name, os.getpid()))
    with open(part, "w") as file:
        json.dump({"paths": _paths(request), "versions": request.versions}, file)
    os.sync()  # what the file promises, before it gets its name
    os.replace(part, os.path.join(folder, name))
    keep(folder, [name], r"[0-9a-f]{16}\.json(\.part-\d+)?")
    keep(os.path.join(root, "wheels"), request.wheels, r"[0-9a-f]{64}(\.part-\d+)?")
    keep(os.path.join(root, "runtime"), request.runtimes, r"[0-9a-f]{64}(\.part)?")
    keep(os.path.join(root, "packs"), [], r"\.?[0-9a-f]{64}\.(whl|tar\.gz).*|\.part-[0-9a-f]{32}.*|\.push-.{8}")
    os.sync()
    return {"event": "finished"}


ACTIONS = {
    "describe": describe,
    "verify": verify,
    "unpack": unpack,
    "import": try_import,
    "activate": activate,
}  # type: Dict[str, Callable[[Request], Event]]


def run(request: Request, emit: Callable[[Event], None]) -> int:
    """Do one thing that the host asked for. Raises what goes wrong."""
    emit(ACTIONS[request.action](request))
    return 0


def _paths(request: Request) -> List[str]:
    return [os.path.join(request.root, "wheels", sha256) for sha256 in request.wheels]


def member_path(name: str) -> str:
    """Return where a wheel's member belongs in the unpacked folder, "" for what has no place there."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    kind, _, inner = rest.partition("/")
    return inner if kind in ("purelib", "platlib") else ""


def unpack_one(root: str, sha256: str) -> None:
    """Unpack one pushed wheel under its own name, complete or not at all, and drop the pushed file."""
    pack = os.path.join(root, "packs", sha256 + ".whl")
    folder = os.path.join(root, "wheels", sha256)
    if sha256_of(pack).hexdigest() != sha256:
        os.remove(pack)
        raise ValueError("a pushed wheel does not have the hash it was pushed with; set the device up again")
    part = "{}.part-{}".format(folder, os.getpid())
    try:
        with zipfile.ZipFile(pack) as archive:
            for member in archive.infolist():
                inner = member_path(member.filename)
                if not inner or inner.endswith("/"):
                    continue
                target = os.path.join(part, inner)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
        if os.path.isdir(folder):
            shutil.rmtree(folder)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    os.remove(pack)


def is_whole(folder: str) -> bool:
    """Tell whether every file of an unpacked wheel has the hash that the wheel's RECORD gives it."""
    try:
        (info,) = [name for name in os.listdir(folder) if name.endswith(".dist-info")]
        with open(os.path.join(folder, info, "RECORD"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        for line in lines:
            name, hashed, _ = line.rsplit(",", 2)
            inner = member_path(name.strip('"'))
            if not inner or not hashed.startswith("sha256="):
                continue
            found = base64.urlsafe_b64encode(sha256_of(os.path.join(folder, inner)).digest()).decode().rstrip("=")
            if found != hashed.partition("=")[2]:
                return False
    except (OSError, ValueError):
        return False
    return True


def keep(folder: str, names: List[str], ours: str) -> None:
    """Remove what bench has put into a folder, named like the pattern `ours`, but `names`; what others put stays."""
    for name in listing(folder):
        path = os.path.join(folder, name)
        if name not in names and re.fullmatch(ours, name):
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
