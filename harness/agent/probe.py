"""What the device is and has, without importing a runtime."""

import os
import platform
import shutil
import sys
from importlib import metadata
from typing import Any, Dict, List, Optional

from harness.agent import hold, telemetry


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


def probe(request: Dict[str, Any]) -> Dict[str, Any]:
    """Answer a `probe` request: the system, each backend's package, which of `files` ({path, size_bytes}) are missing.

    With `cache` room is made for them, see `make_room`. Size and name are enough here: a file gets its name only after
    its hash was checked, and a restart checks it again. With the path of a `lock`, also who holds it.
    """
    missing = []
    for file in request.get("files", []):
        try:
            there = os.path.getsize(file["path"]) == file["size_bytes"]
        except OSError:
            there = False
        if not there:
            missing.append(file["path"])
    answer = {
        "event": "probe",
        "system": {
            "python": platform.python_version(),
            "implementation": sys.implementation.name,
            "machine": platform.machine(),
            "kernel": platform.release(),
            "os": platform.system(),
            "cpu": cpu_model(),
            "cpus": os.cpu_count() or 0,
            "memory_bytes": _memory_bytes(),
            "free_bytes": _free_bytes(),
        },
        "backends": {name: installed(packages) for name, packages in request.get("backends", {}).items()},
        "missing": missing,
        "telemetry": telemetry.snapshot(),
    }  # type: Dict[str, Any]
    if request.get("lock"):
        answer["busy"] = hold.holder(request["lock"]) or None
    if request.get("cache"):
        from harness.agent.cache import make_room

        answer["cache"] = make_room(request["cache"], request["files"], missing, sys.argv[0])
    return answer
