"""What the device is and has, without importing a runtime.

One event, `probe`: the system, versions of the backends' packages, the files that are missing, telemetry, what a
measurement may do there, who holds the device, and after making room in its cache what was removed.
"""

import os
import platform
import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Callable, Dict, List, Optional

from harness.agent import cache, means, telemetry
from harness.agent.files import free_bytes
from harness.agent.identity import identity
from harness.agent.jobs import hold


@dataclass(frozen=True)
class Request:
    """The packages of each backend, files ({path, size_bytes}), the cache they lie in, the lock's file."""

    backends: Dict[str, List[str]]
    give_up_after_s: float
    files: List[Dict[str, Any]] = field(default_factory=list)
    cache: Optional[Dict[str, Any]] = None
    lock: Optional[str] = None


def installed(packages: List[str]) -> Optional[str]:
    """Return "distribution version" of the first of `packages` that is installed, None when none is."""
    for package in packages:
        try:
            return "{} {}".format(package, metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return None


def run(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Say what the device is, each backend's package, which of the files are missing; make room for these.

    Size and name are enough here: a file gets its name only after its hash was checked, and a restart checks it again.
    """
    missing = [file["path"] for file in request.files if not _is_there(file)]
    answer = {
        "event": "probe",
        "system": {
            **identity(),
            "python": platform.python_version(),
            "implementation": sys.implementation.name,
            "free_bytes": free_bytes(os.path.abspath(sys.argv[0])),
        },
        "backends": {name: installed(packages) for name, packages in request.backends.items()},
        "missing": missing,
        "telemetry": telemetry.snapshot(),
        "means": means.read(),
    }  # type: Dict[str, Any]
    if request.lock:
        answer["busy"] = hold.holder(request.lock) or None
    if request.cache:
        answer["cache"] = cache.make_room(request.cache, request.files, missing, sys.argv[0])
    emit(answer)
    return 0


def _is_there(file: Dict[str, Any]) -> bool:
    try:
        return bool(os.path.getsize(file["path"]) == file["size_bytes"])
    except OSError:
        return False
