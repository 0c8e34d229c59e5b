"""From a run document to rows: one per case of the header, whatever happened to the case."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from results.judge import choice, evaluation, fingerprint, load, placement, statistics, stopping, telling, twins
from results.judge.change import control
from results.judge.device import environment, noise, sustained
from results.judge.measurement import Measurement, judge, last_attempts
from results.records import (
    MAX_SAMPLES,
    Accuracy,
    ArtifactFacts,
    Asked,
    Case,
    DeviceSeen,
    Evaluation,
    ModelFacts,
    Restart,
    Row,
    RunDocument,
    RunHeader,
    shortened,
)


def rows(document: RunDocument) -> list[Row]:
    """One row for each case of the header, in header order, those of the control series last.

    A case nobody measured says so in its reason.
    """
    header = document.header
    facts = {model.name: model for model in header.models}
    files = {(file.sha256, file.io_sha256): file for file in header.artifacts}
    made = [
        _row(header, facts.get(m.case.model), files.get((m.case.artifact_sha256 or "", m.case.io_sha256 or "")), m)
        for m in measurements(document)
    ]
    asked, controls = control.apart(made)
    return [*control.beside(choice.marked(twins.compared(asked), header.max_loss), controls), *controls]


def measurements(document: RunDocument) -> list[Measurement]:
    """What was measured of each case of the header, in header order."""
    header = document.header
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
    return [
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
    ok, splits, samples, interval = measurement.ok, measurement.splits, measurement.samples_ms, measurement.ci95_ms
    if measurement.case.unsupported is not None:
        ok, splits, samples, interval = (), (), [], None
    peaks = [restart.peak_rss_bytes for restart in ok if restart.peak_rss_bytes is not None]
    aggregated = any(telling.is_aggregate(restart) for restart in ok)
    curves = [restart for restart in ok if restart.curve]
    median = statistics.center(samples) if samples else None
    return {
        "median_ms": median,
        "throughput_per_s": _per_second(file.batch if file is not None else None, median),
        "ci95_ms": interval,
        "spread_ms": statistics.mad(measurement.medians_ms) if samples else None,
        "percentiles_ms": statistics.percentiles(samples) if samples and not aggregated and not curves else {},
        "verified": bool(ok) and all(restart.verified for restart in ok),
        "snr_db": min((r.snr_db for r in ok if r.snr_db is not None), default=None),
        "top1_agreement": min((r.top1_agreement for r in ok if r.top1_agreement is not None), default=None),
        "n_restarts": len(ok),
        "n_iterations": sum(_inferences(restart) for restart in ok),
        **noise.of_row(ok, splits),
        **load.of_row(ok),
        "sustained": sustained.of_row(curves[-1], measurement.best_probe_ns, measurement.seed) if curves else None,
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
