"""What a row says of loading its model: with the files in memory already, as restarts do, and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from results.judge.device.noise import NS_PER_MS
from results.records import Restart

_NOT_WARM = ("cold", "unknown")


def of_row(ok: Sequence[Restart]) -> dict[str, Any]:
    """Of good restarts; one that was not, or not surely, loaded with its files in memory counts as cold."""
    cold = [restart for restart in ok if restart.load_caches in _NOT_WARM]
    warm = [restart for restart in ok if restart.load_caches not in _NOT_WARM]
    # Drivers of accelerators keep compiled kernels of their own, which nobody drops.
    known = all(restart.load_caches == "cold" and not restart.actual.get("asked") for restart in cold)
    return {
        "load_ms": _median_ms([restart.load_ns for restart in warm]),
        "first_ms": _median_ms([restart.first_ns for restart in warm]),
        "load_peak_rss_bytes": _largest([restart.load_peak_rss_bytes for restart in warm]),
        "cold_load_ms": _median_ms([restart.load_ns for restart in cold]),
        "cold_load_peak_rss_bytes": _largest([restart.load_peak_rss_bytes for restart in cold]),
        "load_caches": ("cold" if known else "unknown") if cold else "warm" if ok else None,
    }


def _median_ms(values_ns: Sequence[int | None]) -> float | None:
    known = [value for value in values_ns if value is not None]
    return float(np.median(known)) / NS_PER_MS if known else None


def _largest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)
