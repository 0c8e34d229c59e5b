"""The two clocks: the one that somebody may set, and the one that nobody can."""

import time
from typing import Any, Dict


def read(_root: str) -> Dict[str, Any]:
    """Return `wall_ns` since 1970 and `monotonic_ns`, read one after the other."""
    return {"wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
