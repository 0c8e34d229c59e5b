"""Files on the device: the small ones by which a kernel tells about itself, hashes, folders, the space left."""

import hashlib
import math
import os
import shutil
from typing import Any, Dict, List, Optional

UNKNOWN = "unknown"


def text(root: str, path: str, limit: int = 4096) -> str:
    """Return what stands in a file below `root`, without the ends that are blank; "" when it cannot be read."""
    try:
        with open(os.path.join(root, path), errors="replace") as file:
            return file.read(limit).strip("\0 \t\r\n")
    except (OSError, ValueError):
        return ""


def number(said: str, scale: float = 1.0) -> Any:
    """Return a finite number times `scale`, UNKNOWN for anything else."""
    try:
        found = float(said) * scale
    except ValueError:
        return UNKNOWN
    return found if math.isfinite(found) else UNKNOWN


def numbers(said: Dict[str, str]) -> Dict[str, float]:
    """Return those that are numbers."""
    found = {key: number(value) for key, value in said.items()}
    return {key: value for key, value in found.items() if value != UNKNOWN}


def switch(said: str) -> Optional[bool]:
    """Return what a file with 0 or 1 means, None for anything else."""
    return {"0": False, "1": True}.get(said)


def sha256_of(path: str) -> Any:
    """Return the SHA-256 object over a file. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest


def listing(folder: str) -> List[str]:
    """Return the names in a folder, none when there is no such folder."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def free_bytes(path: str) -> int:
    """Return the space left on the disk that holds `path` or will hold it. Raises OSError."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return shutil.disk_usage(path).free
