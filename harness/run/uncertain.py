"""Which case of a device is measured once more, when all have had their planned restarts."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from results.judge.device import noise
from results.judge.stopping import next_case
from results.records import Restart, Stopping

Medians = dict[str, dict[int, float | None]]
"""case_id -> round -> median of that restart in ns, None where it has none that can be believed."""


def medians_of(restarts: Iterable[Restart], best_probe_ns: int | None = None) -> Medians:
    """Return what restarts say of the latency of their cases; `best_probe_ns` is as in `judge.device.noise`."""
    found: Medians = {}
    for restart in restarts:
        own = noise.split(restart, best_probe_ns)
        is_good = restart.outcome == "ok" and own.own.size > 0 and not own.is_contended
        found.setdefault(restart.case_id, {})[restart.round] = float(np.median(own.own)) if is_good else None
    return found


class Uncertain:
    """What is known of each case so far. `planned` is how many rounds all have; the time counts from now."""

    def __init__(self, stopping: Stopping, planned: int, medians: Mapping[str, Mapping[int, float | None]]) -> None:
        self._stopping = stopping
        self._planned = planned
        self._medians: Medians = {case_id: dict(found) for case_id, found in medians.items()}
        self._begun = time.monotonic()

    def add(self, restart: Restart, best_probe_ns: int | None) -> None:
        """Take in what was measured."""
        for case_id, found in medians_of([restart], best_probe_ns).items():
            self._medians.setdefault(case_id, {}).update(found)

    def next(self, open_: Collection[str]) -> tuple[str, int] | None:
        """Return that one of these cases which another restart helps most, and its round; None when it is enough."""
        stopping = self._stopping
        rounds = {case_id: max(self._planned, *(one + 1 for one in found)) for case_id, found in self._medians.items()}
        if stopping.max_minutes is not None:
            is_over = time.monotonic() - self._begun >= 60 * stopping.max_minutes
        else:
            is_over = sum(rounds.values()) - self._planned * len(rounds) >= stopping.extra * len(open_)
        if is_over:
            return None
        medians = {
            case_id: [median for median in found.values() if median is not None]
            for case_id, found in self._medians.items()
            if case_id in open_ and rounds[case_id] < stopping.most
        }
        chosen = next_case(medians, stopping.target)
        return None if chosen is None else (chosen, rounds[chosen])
