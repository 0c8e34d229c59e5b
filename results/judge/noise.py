"""Apart from what other work on the device takes: which inferences show the device's own latency. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.judge.statistics import minimum_samples, percentiles
from results.records import Restart

FEWEST_KEPT = minimum_samples(50)
"""Of fewer inferences no median is stated."""
LEAST_KEPT = 0.5
"""Inferences just after others had the core are slowed by cold caches, too; where most lost theirs, so are the rest."""
STEADY_WITHIN = 0.05
NS_PER_MS = 1e6
SLOW_PROBE = 1.10
"""A fixed piece of work that takes this many times as long as at best says that the core itself was slower."""


@dataclass(frozen=True)
class Split:
    """The timed inferences of a restart in ns: `own` show the latency of the device, `observed` what a user gets.

    `undisturbed` is how many kept their core, None where nothing told. `lost_share` is the share of the time of those
    at ordinary priority that they waited for a core. `is_contended` when too few kept it for `own` to be believed.
    """

    own: NDArray[np.float64]
    observed: NDArray[np.float64]
    undisturbed: int | None = None
    lost_share: float | None = None
    is_contended: bool = False


def split(restart: Restart) -> Split:
    """Return the inferences of a restart, told apart by their marks; without (valid) marks all are both."""
    samples, noise = np.asarray(restart.samples_ns, dtype=np.float64), restart.noise
    if noise is None or not samples.size:
        return Split(samples, samples)
    try:
        kept = ~noise.flags(samples.size)
    except ValueError:  # a damaged document
        return Split(samples, samples)
    first = noise.shielded_from
    observed = samples[:first] if first else samples
    # Where it had to be shielded, caches are cold in what kept its core before.
    part, part_kept = (samples, kept) if first is None else (samples[first:], kept[first:])
    own = part[part_kept]
    contended = own.size < LEAST_KEPT * part.size or own.size < min(FEWEST_KEPT, part.size) or not own.size
    total = float(observed.sum())
    return Split(
        own=own if own.size else part if part.size else samples,
        observed=observed,
        undisturbed=int(own.size),
        lost_share=min(1.0, noise.lost_ns / total) if noise.lost_ns is not None and total else None,
        is_contended=contended,
    )


def best_probe_ns(restarts: list[Restart] | tuple[Restart, ...]) -> int | None:
    """Return how long the fixed piece of work takes on a device at best, None where it was never done."""
    return min((time for restart in restarts for time in restart.probe_ns or () if time > 0), default=None)


def slowness(restart: Restart, best_ns: int | None) -> float | None:
    """Return how many times as long as at best the fixed piece of work took, before or after, whichever was longer."""
    return None if best_ns is None or not restart.probe_ns else max(restart.probe_ns) / best_ns


def is_steady(split: Split) -> bool:
    """Whether the two halves of the inferences agree, so that the warm-up was long enough whatever it looked like."""
    if split.undisturbed is None or split.own.size < 2 * FEWEST_KEPT:
        return False
    first, second = np.array_split(split.own, 2)
    before, after = float(np.median(first)), float(np.median(second))
    return abs(after - before) <= STEADY_WITHIN * before


def of_row(restarts: Sequence[Restart], splits: Sequence[Split]) -> dict[str, Any]:
    """Return what a row says of the noise; what not all of its restarts tell is not known."""
    marks = {restart.noise.marked_by if restart.noise else "unknown" for restart in restarts}
    kept = [split.undisturbed for split in splits]
    lost = [split.lost_share for split in splits]
    aggregated = any(restart.actual.get("aggregates") for restart in restarts)
    observed = [] if aggregated else [split.observed / NS_PER_MS for split in splits]
    return {
        "marked_by": marks.pop() if len(marks) == 1 else "unknown",
        "n_undisturbed": sum(filter(None, kept)) if kept and None not in kept else None,
        "lost_share": float(np.mean([share or 0.0 for share in lost])) if lost and None not in lost else None,
        "observed_ms": percentiles(observed) if observed else {},
    }
