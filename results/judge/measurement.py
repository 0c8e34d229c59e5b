"""The restarts of one case in one run, which of them count, and the verdict on all of them together. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from results.judge import evaluation, fingerprint, statistics, stopping, telling
from results.judge.device import noise, sustained, telemetry
from results.judge.device.noise import NS_PER_MS
from results.judge.validity import Judgment, judge_restart
from results.records import Case, DeviceSeen, Profile, Restart, Verdict

Finding = tuple[Verdict, str]


@dataclass(frozen=True)
class Measurement:
    """A case with the restarts that count: of each round the last attempt. `ok` are those that brought numbers.

    `seen` is what the case's device was at each connection, `outcome` what became of its evaluation, None where none
    was asked for, `best_probe_ns` how fast its cores are at best.
    """

    case: Case
    profile: Profile
    restarts: tuple[Restart, ...]
    finished: bool
    seen: tuple[DeviceSeen, ...] = ()
    outcome: evaluation.Outcome | None = None
    best_probe_ns: int | None = None

    @cached_property
    def judgments(self) -> tuple[Judgment, ...]:
        """One for each of `restarts`."""
        return tuple(judge_restart(one, self.case, self.profile, self.best_probe_ns) for one in self.restarts)

    @cached_property
    def counted(self) -> tuple[tuple[Restart, Judgment], ...]:
        """Those with numbers, without the contended ones where enough others are left: most of those planned."""
        judged = [pair for pair in zip(self.restarts, self.judgments, strict=True) if pair[1].has_numbers]
        quiet = [pair for pair in judged if pair[1].verdict is not Verdict.CONTENDED]
        planned = self.profile.restarts
        return tuple(quiet if len(quiet) >= max(min(2, planned), planned // 2 + 1) else judged)

    @property
    def ok(self) -> tuple[Restart, ...]:
        return tuple(restart for restart, _ in self.counted)

    @property
    def is_shielded(self) -> bool:
        """Whether most of `ok` had to be kept from other work by real-time priority."""
        shielded = sum(one.noise is not None and one.noise.shielded_from is not None for one in self.ok)
        return 2 * shielded > len(self.ok)

    @property
    def lost(self) -> list[Judgment]:
        return [judgment for judgment in self.judgments if not judgment.has_numbers]

    @cached_property
    def splits(self) -> tuple[noise.Split, ...]:
        """The inferences of each restart in `ok`, told apart."""
        best_ns = self.best_probe_ns
        return tuple(sustained.split(one, best_ns) or noise.split(one, best_ns) for one in self.ok)

    @cached_property
    def samples_ms(self) -> list[NDArray[np.float64]]:
        """The inferences in which each restart shows the latency of the device."""
        return [split.own / NS_PER_MS for split in self.splits]

    @cached_property
    def medians_ms(self) -> NDArray[np.float64]:
        """The median of each restart in `ok`, the unit of replication."""
        return statistics.restart_medians(self.samples_ms)

    @cached_property
    def ci95_ms(self) -> tuple[float, float] | None:
        """The 95 % interval of its median; None without numbers, and of a single aggregate."""
        aggregated = any(telling.is_aggregate(one) for one in self.ok)
        if len(self.samples_ms) <= int(aggregated):
            return None
        # The case's identity seeds the bootstrap: the same samples of the same case give the same interval everywhere.
        return stopping.interval(self.samples_ms, self.seed, aggregated=aggregated)

    @property
    def seed(self) -> int:
        """What is random in its judgment comes from the case's identity."""
        return int(self.case.case_id, 16)


def last_attempts(restarts: list[Restart]) -> tuple[Restart, ...]:
    """Of each round the last attempt, in the order of rounds: a repeated restart replaces the rejected one."""
    latest: dict[int, Restart] = {}
    for restart in restarts:
        if restart.round not in latest or restart.attempt >= latest[restart.round].attempt:
            latest[restart.round] = restart
    return tuple(latest[number] for number in sorted(latest))


def judge(measurement: Measurement) -> Finding:
    """The verdict and its reason. The first check with a finding gives the verdict, all findings give the reason."""
    if measurement.case.unsupported is not None:
        return Verdict.UNSUPPORTED, measurement.case.unsupported or "unsupported, no reason given"
    if measurement.outcome is not None and not measurement.profile.restarts and not measurement.restarts:
        return measurement.outcome.verdict, measurement.outcome.missing
    if not measurement.ok:
        return _without_numbers(measurement)
    findings = [finding for check in CHECKS if (finding := check(measurement)) is not None]
    if not findings:
        return Verdict.VALID, ""
    verdict, reasons = findings[0][0], [reason for _, reason in findings]
    if verdict is Verdict.UNSTABLE:
        reasons += telemetry.disturbances(measurement.ok)
    return verdict, "; ".join(reasons)


def _without_numbers(measurement: Measurement) -> Finding:
    """No restart brought numbers: failed outweighs unsupported, and that outweighs offline."""
    for verdict in (Verdict.FAILED, Verdict.UNSUPPORTED, Verdict.OFFLINE):
        reasons = [judgment.reason for judgment in measurement.lost if judgment.verdict is verdict]
        if reasons:
            return verdict, reasons[-1] or f"{verdict.value}, no reason given"
    if measurement.finished:
        return Verdict.FAILED, "the run ended without measuring this case"
    return Verdict.FAILED, "not measured: the run is not finished"


def check_each(measurement: Measurement) -> Finding | None:
    """Something is wrong with a restart by itself (`judge.validity`)."""
    bad = [judgment for _, judgment in measurement.counted if judgment.verdict is not Verdict.VALID]
    if not bad:
        return None
    many = f" (so in {len(bad)} of {len(measurement.counted)} restarts)" if len(measurement.counted) > 1 else ""
    return bad[0].verdict, f"{bad[0].reason}{many if bad[0].verdict is Verdict.CONTENDED else ''}"


def check_board(measurement: Measurement) -> Finding | None:
    """Another board answered to the device's name in mid-run."""
    seen = measurement.seen
    found = (fingerprint.other_board(before, now) for before, now in pairwise(seen))
    return next(((Verdict.NOT_COMPARABLE, words) for words in found if words is not None), None)


def check_restarts(measurement: Measurement) -> Finding | None:
    """Fewer good restarts than the profile asks for."""
    have = sum(judgment.has_numbers for judgment in measurement.judgments)
    want = measurement.profile.restarts
    if have >= want:
        return None
    lost = measurement.lost
    if lost:
        why = f"the last one lost was {lost[-1].verdict.value}" + (f" ({lost[-1].reason})" if lost[-1].reason else "")
    else:
        why = "the run ended early" if measurement.finished else "the run is not finished"
    return Verdict.UNSTABLE, f"{have} of {want} restarts: {why}"


def check_spread(measurement: Measurement) -> Finding | None:
    """Restart medians too far apart to be one number; `statistics.relative_spread` defines how far."""
    medians = measurement.medians_ms
    spread = statistics.relative_spread(medians)
    if spread is None or spread <= stopping.MAX_RELATIVE_SPREAD:
        return None
    return Verdict.UNSTABLE, (
        f"restart medians spread by {spread:.0%} (from {medians.min():.4g} to {medians.max():.4g} ms), "
        f"more than {stopping.MAX_RELATIVE_SPREAD:.0%}"
    )


def check_beside(measurement: Measurement) -> Finding | None:
    """Other work had the cores, and the restarts do not say well enough what it left of caches and memory."""
    interval = measurement.ci95_ms
    if not measurement.is_shielded or interval is None:
        return None
    reach = stopping.reach(statistics.center(measurement.samples_ms), interval)
    if reach <= stopping.MAX_RELATIVE_SPREAD:
        return None
    return Verdict.CONTENDED, (
        f"other work had the cores, and even under real-time priority the 95 % interval reaches {reach:.0%} from the "
        f"median, more than {stopping.MAX_RELATIVE_SPREAD:.0%}: stop what else runs there, or measure longer "
        "(--target-ci)"
    )


def check_warmup(measurement: Measurement) -> Finding | None:
    """Most restarts were still changing speed when the timed inferences began, and in them."""
    found = zip(measurement.ok, measurement.splits, strict=True)
    unsettled = sum(not (restart.warmup_stable or restart.curve or noise.is_steady(split)) for restart, split in found)
    if 2 * unsettled <= len(measurement.ok):
        return None
    return Verdict.UNSTABLE, f"warm-up did not settle in {unsettled} of {len(measurement.ok)} restarts"


CHECKS: list[Callable[[Measurement], Finding | None]] = [
    check_each,
    check_board,
    check_restarts,
    check_spread,
    check_beside,
    check_warmup,
]
"""Run in this order on a measurement with at least one good restart."""
