"""Apart from what other work on the device takes: which inferences show the device's own latency. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
SHORTEST_PROBE_NS = 1000
"""No core hashes 16 KiB in less: a probe that says so is a clock that is too coarse, and not the best there is."""


@dataclass(frozen=True)
class Split:
    """The timed inferences of a restart in ns: `own` show the latency of the device, `observed` what a user gets.

    `undisturbed` is how many kept their core, at its full speed, None where nothing told. `lost_share` is the share of
    the time of those at ordinary priority that they waited for a core, `slow_share` the share of those that `own` is
    taken from that ran while the core was slower than it can be. `is_contended` when too few are left of them to be
    believed.
    """

    own: NDArray[np.float64]
    observed: NDArray[np.float64]
    undisturbed: int | None = None
    lost_share: float | None = None
    slow_share: float = 0.0
    is_contended: bool = False


def split(restart: Restart, best_probe_ns: int | None = None) -> Split:
    """Return the inferences of a restart, told apart by their marks; without (valid) marks all are both.

    `best_probe_ns` is how long the fixed piece of work takes on the device at best; without it no core is called slow.
    """
    samples, noise = np.asarray(restart.samples_ns, dtype=np.float64), restart.noise
    if noise is None or not samples.size:
        return Split(samples, samples)
    try:
        kept = ~noise.flags(samples.size)
    except ValueError:  # a damaged document
        return Split(samples, samples)
    slow = _slow(restart, best_probe_ns)
    first = noise.shielded_from
    observed = samples[:first] if first else samples
    # Where it had to be shielded, caches are cold in what kept its core before.
    part = slice(first, None)
    own = samples[part][kept[part] & ~slow[part]]
    size = samples[part].size
    total = float(observed.sum())
    return Split(
        own=own if own.size else samples[part] if size else samples,
        observed=observed,
        undisturbed=int(own.size),
        lost_share=min(1.0, noise.lost_ns / total) if noise.lost_ns is not None and total else None,
        slow_share=float(np.mean(slow[part])) if size else 0.0,
        is_contended=own.size < max(LEAST_KEPT * size, min(FEWEST_KEPT, size), 1),
    )


def _slow(restart: Restart, best_ns: int | None) -> NDArray[np.bool_]:
    """Whether each inference ran between two probes of which one was slow; probes of no rising places have none."""
    size = len(restart.samples_ns)
    slow = np.zeros(size, dtype=bool)
    if best_ns is None or len(restart.probes) < 2:
        return slow
    told, took = np.asarray(restart.probes, dtype=np.int64).T
    places = np.maximum.accumulate(np.minimum(told, size))
    is_slow = np.maximum(took[:-1], took[1:]) > SLOW_PROBE * best_ns
    slow[places[0] : places[-1]] = np.repeat(is_slow, np.diff(places))
    return slow


def best_probe_ns(restarts: Iterable[Restart]) -> int | None:
    """Return how long the fixed piece of work takes on a device at best, None where it was never done."""
    told = (took for restart in restarts for took in _probes_ns(restart))
    return min((took for took in told if took is not None and took >= SHORTEST_PROBE_NS), default=None)


def _probes_ns(restart: Restart) -> list[int | None]:
    if restart.curve:
        return [point.probe_ns for point in restart.curve.points]
    return [took for _, took in restart.probes]


def is_steady(split: Split) -> bool:
    """Whether the two halves of the inferences agree, so that the warm-up was long enough whatever it looked like."""
    if split.undisturbed is None or split.own.size < 2 * FEWEST_KEPT:
        return False
    return agree(split.own)


def agree(samples: NDArray[np.float64]) -> bool:
    """Whether the medians of both halves agree; there is no second half of one."""
    if samples.size < 2:
        return True
    before, after = (float(np.median(half)) for half in np.array_split(samples, 2))
    return abs(after - before) <= STEADY_WITHIN * before


def of_row(restarts: Sequence[Restart], splits: Sequence[Split]) -> dict[str, Any]:
    """Return what a row says of the noise; what not all of its restarts tell is not known."""
    marks = {restart.marked_by for restart in restarts}
    kept = [split.undisturbed for split in splits]
    lost = [split.lost_share for split in splits]
    aggregated = any(restart.actual.get("aggregates") or restart.curve for restart in restarts)
    observed = [] if aggregated else [split.observed / NS_PER_MS for split in splits]
    return {
        "marked_by": marks.pop() if len(marks) == 1 else "unknown",
        "n_undisturbed": sum(filter(None, kept)) if kept and None not in kept else None,
        "lost_share": float(np.mean([share or 0.0 for share in lost])) if lost and None not in lost else None,
        "observed_ms": percentiles(observed) if observed else {},
    }
