"""What the device is, not what it is called: the same words at every connection, until somebody changes the machine."""

import hashlib
import os
import platform
import re
from typing import Any, Dict

from harness.agent.files import UNKNOWN, text
from harness.agent.programs import printed

# Where a machine keeps its own number, the one that is tied closest to the board first. Some only root may read.
_SERIALS = (
    "sys/firmware/devicetree/base/serial-number",
    "sys/class/dmi/id/product_uuid",
    "sys/class/dmi/id/board_serial",
    "android: ro.serialno",
    "etc/machine-id",
)
# What firmware says whose maker did not care: "None", "Default string", "To be filled by O.E.M.", 0000-0000, 01234567.
_NO_SERIAL = re.compile(r"none|unknown|default string|to be filled.*|not .*|[0fx-]*|0?123456789?0?(abcdef)?", re.I)


def identity(root: str = "/") -> Dict[str, Any]:
    """Return the fields of `results.records.DeviceIdentity`, `unknown` where the device does not tell one.

    `hardware_id` is a hash, so that no serial number leaves the device.
    """
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "os": platform.system(),
        "cpu": cpu_model(root),
        "cpus": os.cpu_count() or 0,
        "memory_bytes": _memory_bytes(),
        "os_build": _os_build(root) or UNKNOWN,
        "board": _board(root) or UNKNOWN,
        "hardware_id": _hardware_id(root) or UNKNOWN,
    }


def cpu_model(root: str = "/") -> str:
    """Return the processor's name, or its board's: for 64-bit Arm most kernels tell no other."""
    lines = text(root, "proc/cpuinfo", 65536).split("\n")
    for key in ("model name", "Model", "Hardware"):
        for line in lines:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return text(root, "sys/firmware/devicetree/base/model", 256) or UNKNOWN


def _memory_bytes() -> Any:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return UNKNOWN


def _os_build(root: str) -> str:
    fingerprint = _android(root, "ro.build.fingerprint")
    named = re.search(r'^PRETTY_NAME="?([^"\n]*)', text(root, "etc/os-release", 65536), re.M)
    return fingerprint or (named.group(1) if named else "")


def _board(root: str) -> str:
    dmi = " ".join(filter(None, (text(root, "sys/class/dmi/id/board_" + part) for part in ("vendor", "name"))))
    return text(root, "sys/firmware/devicetree/base/model", 256) or _android(root, "ro.product.model") or dmi


def _hardware_id(root: str) -> str:
    for source in _SERIALS:
        kind, _, name = source.partition(": ")
        serial = _android(root, name) if kind == "android" else text(root, source, 256)
        if len(serial) >= 4 and not _NO_SERIAL.fullmatch(serial):
            return hashlib.sha256("{} {}".format(source, serial).encode("utf-8", "replace")).hexdigest()
    return ""


def _android(root: str, name: str) -> str:
    """Return a property of Android's, from its file where that can be read; "" elsewhere."""
    found = re.search("^{}=(.+)".format(re.escape(name)), text(root, "system/build.prop", 1 << 20), re.M)
    said = found.group(1) if found else printed(os.path.join(root, "system/bin/getprop"), name)
    return said.strip()[:256]
