"""From a run document to rows: one per case of the header, whatever happened to the case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from results.judge import (
    choice,
    control,
    environment,
    evaluation,
    fingerprint,
    load,
    noise,
    placement,
    statistics,
    stopping,
    sustained,
    telemetry,
    telling,
    twins,
)
from results.judge.validity import Judgment, judge_restart
from results.records import (
    MAX_SAMPLES,
    Accuracy,
    ArtifactFacts,
    Asked,
    Case,
    DeviceSeen,
    Evaluation,
    ModelFacts,
    Profile,
    Restart,
    Row,
    RunDocument,
    RunHeader,
    Verdict,
    shortened,
)

NS_PER_MS = 1e6
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
    def lost(self) -> list[Judgment]:
        return [judgment for judgment in self.judgments if not judgment.has_numbers]

    @cached_property
    def splits(self) -> tuple[noise.Split, ...]:
        """The inferences of each restart in `ok`, told apart."""
        best_ns = self.best_probe_ns
        return tuple(sustained.split(one, best_ns) or noise.split(one, best_ns) for one in self.ok)


def rows(document: RunDocument) -> list[Row]:
    """One row for each case of the header, in header order, those of the control series last.

    A case nobody measured says so in its reason.
    """
    header = document.header
    facts = {model.name: model for model in header.models}
    files = {(file.sha256, file.io_sha256): file for file in header.artifacts}
    restarts: dict[str, list[Restart]] = defaultdict(list)
    for restart in document.restarts:
        restarts[restart.case_id].append(restart)
    seen: dict[str, list[DeviceSeen]] = defaultdict(list)
    for one in document.devices:
        seen[one.device].append(one)
    finished, outcomes = document.finished_at is not None, evaluation.outcomes(document)
    of_device: dict[str, list[Restart]] = defaultdict(list)
    for case in header.cases:
        of_device[case.device] += restarts[case.case_id]
    best_ns = {device: noise.best_probe_ns(measured) for device, measured in of_device.items()}
    measurements = [
        Measurement(
            case,
            header.profile,
            last_attempts(restarts[case.case_id]),
            finished,
            tuple(seen[case.device]),
            outcomes.get(case.case_id),
            best_ns[case.device],
        )
        for case in header.cases
    ]
    made = [
        _row(header, facts.get(m.case.model), files.get((m.case.artifact_sha256 or "", m.case.io_sha256 or "")), m)
        for m in measurements
    ]
    asked, controls = control.apart(made)
    return [*control.beside(choice.marked(twins.compared(asked), header.max_loss), controls), *controls]


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
    medians = statistics.restart_medians([split.own for split in measurement.splits])
    spread = statistics.relative_spread(medians)
    if spread is None or spread <= stopping.MAX_RELATIVE_SPREAD:
        return None
    fastest, slowest = medians.min() / NS_PER_MS, medians.max() / NS_PER_MS
    return Verdict.UNSTABLE, (
        f"restart medians spread by {spread:.0%} (from {fastest:.4g} to {slowest:.4g} ms), "
        f"more than {stopping.MAX_RELATIVE_SPREAD:.0%}"
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
    check_warmup,
]
"""Run in this order on a measurement with at least one good restart."""


def _row(header: RunHeader, facts: ModelFacts | None, file: ArtifactFacts | None, measurement: Measurement) -> Row:
    case, ok, outcome = measurement.case, measurement.ok, measurement.outcome
    verdict, reason = judge(measurement)
    numbers = _numbers(measurement, file)
    if outcome is not None and outcome.evaluated is None and measurement.restarts and not ok:
        outcome = replace(outcome, missing=shortened(reason))  # what does not run is not evaluated
    asked: dict[Asked, bool] = {"latency": header.profile.restarts > 0, "accuracy": case.dataset is not None}
    facts = facts or ModelFacts(name=case.model, weights="unknown")
    told: list[Restart | Evaluation] = [*(outcome.parts if outcome is not None else ()), *ok]
    version = next((one.agent["backend_version"] for one in reversed(told) if "backend_version" in one.agent), None)
    board = fingerprint.device_id(measurement.seen)
    found = environment.of(reading for r in ok for reading in (r.telemetry_before, r.telemetry_after))
    return Row(
        run=header.run_id,
        started_at=header.started_at,
        device=case.device,
        device_id=board,
        model=case.model,
        untransformed=facts.untransformed,
        family=facts.family,
        backend=case.backend,
        backend_version=version,
        precision=case.precision,
        method=case.method,
        threads=case.threads,
        options=case.options,
        verdict=verdict,
        reason=shortened(reason),
        **numbers,
        **telling.file(file),
        artifact_sha256=case.artifact_sha256,
        artifact_format=case.artifact_format,
        weights=facts.weights,
        resolution=facts.resolution,
        parameters=facts.parameters,
        multiply_adds=facts.multiply_adds,
        **evaluation.of_row(_accuracies(facts, case), outcome),
        asked=tuple(what for what, is_asked in asked.items() if is_asked),
        actual=told[-1].actual if told else {},
        environment=found,
        fallback=telling.fallback(ok),
        placement=placement.of_row(measurement.restarts),
        aggregates=telling.in_words(ok, "aggregates"),
        unverified=telling.unverified(ok, file),
        compute_precision=telling.computed_in(told[-1].actual) if told else "",
        notes=(*facts.notes, *telling.notes(case, ok, file, facts.weights), *_stopped(header, measurement, numbers)),
        case_id=case.case_id,
        control=case.control,
        fingerprint=fingerprint.fingerprint(
            case,
            header.profile,
            board=board,
            backend_version=version,
            environment=found,
            fallback=telling.in_words(ok, "fallback"),
            marked=bool(ok) and all(one.marked_by != "unknown" for one in ok),
        ),
    )


def _accuracies(facts: ModelFacts, case: Case) -> tuple[Accuracy, ...]:
    """What was published or stated of a model holds for its files as they were exported, and for no other precision."""
    return () if case.method else facts.accuracies


def _stopped(header: RunHeader, measurement: Measurement, numbers: dict[str, Any]) -> tuple[str, ...]:
    """What is to be said of restarts that were added, or were not enough."""
    median, interval = numbers["median_ms"], numbers["ci95_ms"]
    if header.stopping is None or median is None:
        return ()
    added = len(measurement.restarts) > header.profile.restarts
    return tuple(stopping.in_words(median, interval, added, header.stopping))


def _numbers(measurement: Measurement, file: ArtifactFacts | None) -> dict[str, Any]:
    """The figures of a row in ms, from the good restarts; a case known to be unsupported has none.

    Aggregates are no inferences: they have no percentiles, and one alone has no interval.
    """
    ok, splits = measurement.ok, measurement.splits
    if measurement.case.unsupported is not None:
        ok, splits = (), ()
    samples = [split.own / NS_PER_MS for split in splits]
    peaks = [restart.peak_rss_bytes for restart in ok if restart.peak_rss_bytes is not None]
    aggregated = any(telling.is_aggregate(restart) for restart in ok)
    curves = [restart for restart in ok if restart.curve]
    # The case's identity seeds the bootstrap: the same samples of the same case give the same interval everywhere.
    seed = int(measurement.case.case_id, 16)
    median = statistics.center(samples) if samples else None
    return {
        "median_ms": median,
        "throughput_per_s": _per_second(file.batch if file is not None else None, median),
        "ci95_ms": stopping.interval(samples, seed, aggregated=aggregated) if len(samples) > int(aggregated) else None,
        "spread_ms": statistics.mad(statistics.restart_medians(samples)) if samples else None,
        "percentiles_ms": statistics.percentiles(samples) if samples and not aggregated and not curves else {},
        "verified": bool(ok) and all(restart.verified for restart in ok),
        "snr_db": min((r.snr_db for r in ok if r.snr_db is not None), default=None),
        "top1_agreement": min((r.top1_agreement for r in ok if r.top1_agreement is not None), default=None),
        "n_restarts": len(ok),
        "n_iterations": sum(_inferences(restart) for restart in ok),
        **noise.of_row(ok, splits),
        **load.of_row(ok),
        "sustained": sustained.of_row(curves[-1], measurement.best_probe_ns, seed) if curves else None,
        "peak_rss_bytes": max(peaks, default=None),
    }


def _per_second(batch: int | None, median_ms: float | None) -> float | None:
    """Examples per second."""
    return batch * 1000 / median_ms if batch is not None and median_ms else None


def _inferences(restart: Restart) -> int:
    """How many timed inferences a restart rests on, of an aggregate as many as it says."""
    told = restart.actual.get("aggregate")
    count = told.get("count") if telling.is_aggregate(restart) and isinstance(told, dict) else None
    return count if type(count) is int and 0 < count <= MAX_SAMPLES else restart.timed
