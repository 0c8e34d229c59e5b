"""Reading the small files by which a kernel tells about itself."""

import math
import os
from typing import Any

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
