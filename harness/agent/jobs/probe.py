"""What the device is and has, without importing a runtime.

One event, `probe`: the system, versions of the backends' packages, the files that are missing, telemetry, who holds the
device, and after making room in its cache what was removed.
"""

import os
import platform
import shutil
import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Callable, Dict, List, Optional

from harness.agent import cache, telemetry
from harness.agent.jobs import hold


@dataclass(frozen=True)
class Request:
    """The packages of each backend, files ({path, size_bytes, room_bytes}), the cache they lie in, the lock's file."""

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


def cpu_model(root: str = "/") -> str:
    """Return the processor's name, or its board's: for 64-bit Arm most kernels tell no other."""
    try:
        with open(os.path.join(root, "proc/cpuinfo")) as file:
            lines = file.read(65536).split("\n")
    except OSError:
        lines = []
    for key in ("model name", "Model", "Hardware"):
        for line in lines:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    try:
        with open(os.path.join(root, "sys/firmware/devicetree/base/model"), errors="replace") as file:
            return file.read(256).strip("\0 \n") or telemetry.UNKNOWN
    except OSError:
        return telemetry.UNKNOWN


def _memory_bytes() -> Any:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return telemetry.UNKNOWN


def _free_bytes() -> Any:
    """Return what is free where the agent lies."""
    try:
        return shutil.disk_usage(os.path.dirname(os.path.abspath(sys.argv[0]))).free
    except OSError:
        return telemetry.UNKNOWN


def run(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Say what the device is, each backend's package, which of the files are missing; make room for these.

    Size and name are enough here: a file gets its name only after its hash was checked, and a restart checks it again.
    """
    missing = [file["path"] for file in request.files if not _is_there(file)]
    answer = {
        "event": "probe",
        "system": _system(),
        "backends": {name: installed(packages) for name, packages in request.backends.items()},
        "missing": missing,
        "telemetry": telemetry.snapshot(),
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


def _system() -> Dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "os": platform.system(),
        "cpu": cpu_model(),
        "cpus": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
        "free_bytes": _free_bytes(),
    }
