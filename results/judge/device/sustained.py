"""What minutes without a pause do to a latency: peak, sustained latency, time to throttle. Pure; NumPy only.

A span counts when at least half of its inferences kept their core, or nothing tells whether they did: other work must
not be taken for throttling. Nor must other virtual machines on the same hardware: in a virtual one no span counts in
which a fixed piece of work was slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.judge import statistics
from results.judge.device import noise, telemetry
from results.judge.device.noise import NS_PER_MS
from results.judge.pareto import AccuracyClass, accuracy_class, by_class, standings
from results.records import MAX_MOMENTS, Curve, Moment, Point, Restart, Row, Sustained, Verdict

EARLY_S, PARTS = 60.0, 5
"""The peak is that of the first minute, at most a fifth of the time; the sustained latency that of the last fifth."""
SLOWER = 1.10
"""More than so many times the peak is throttled."""
WINDOW_PARTS, LASTING_PARTS = 40, 20
"""An outlier is shorter than half of the first part of the time; what has not lasted for the second may yet be one."""
MAX_LOST = 0.10
"""Of the time that inferences wait for a core: more at the end is the work of others where they became slower, too, or
where it is so much more than at first."""
_NS_PER_S, _KHZ_PER_MHZ = 1e9, 1e3

Floats = NDArray[np.float64]
Points = tuple[Point, ...]


def seen(restart: Restart, best_probe_ns: int | None) -> Curve | None:
    """Return the curve of a restart, without latencies that other virtual machines have made; None if there is none."""
    curve = restart.curve
    readings = (restart.telemetry_before, restart.telemetry_after)
    if curve is None or best_probe_ns is None or not any(reading and reading.virtual for reading in readings):
        return curve
    limit_ns = noise.SLOW_PROBE * best_probe_ns
    nothing = {"median_ns": None, "p90_ns": None, "undisturbed": 0}
    points = tuple(
        point.model_copy(update=nothing) if (point.probe_ns or 0) > limit_ns else point for point in curve.points
    )
    return curve.model_copy(update={"points": points})


def parts(curve: Curve) -> tuple[Points, Points]:
    """Return the spans of the first and of the last part; each has at least one."""
    points = curve.points
    total_ns = points[-1].until_ns
    early_ns, late_ns = min(EARLY_S * _NS_PER_S, total_ns / PARTS), total_ns * (1 - 1 / PARTS)
    early = tuple(point for point in points if point.until_ns <= early_ns) or points[:1]
    return early, tuple(point for point in points if point.until_ns > late_ns)


def kept(points: Sequence[Point]) -> Points:
    """Return those of the spans that count."""
    return tuple(
        point
        for point in points
        if point.median_ns is not None
        and (point.undisturbed is None or point.undisturbed >= noise.LEAST_KEPT * point.inferences)
    )


def medians_ns(points: Sequence[Point]) -> Floats:
    """Return the medians of those that count, of all where none does."""
    own = [point.median_ns for point in kept(points)]
    return np.asarray(own or [point.observed_ns for point in points], dtype=np.float64)


def throttled_after(ends: ArrayLike, latencies: ArrayLike, peak: float) -> float | None:
    """Return when the first span begins from which on latencies stay above SLOWER times the peak, None if none does.

    `ends` are the ends of spans, rising, in the unit of the result; the latencies are those of the spans, freed of
    outliers by a running median over a WINDOW_PARTS-th of the spans. None, too, when it has not lasted for a
    LASTING_PARTS-th of them.
    """
    times, smooth = np.asarray(ends, dtype=np.float64), running_median(latencies)
    if not smooth.size or not smooth[-1] > SLOWER * peak:
        return None
    within = np.flatnonzero(smooth <= SLOWER * peak)
    first = int(within[-1]) + 1 if within.size else 0
    if smooth.size - first < smooth.size / LASTING_PARTS:
        return None
    return float(times[first - 1]) if first else 0.0


def running_median(values: ArrayLike) -> Floats:
    """The median of each value and its neighbors, as many on either side; at both ends that of the last such window."""
    array = np.asarray(values, dtype=np.float64)
    width = 2 * (array.size // (2 * WINDOW_PARTS)) + 1
    if array.size < width:
        return array
    inner = np.median(np.lib.stride_tricks.sliding_window_view(array, width), axis=1)
    return np.pad(inner, width // 2, mode="edge")


def split(restart: Restart, best_probe_ns: int | None = None) -> noise.Split | None:
    """Return the last part as the samples that the latency of a row rests on, a median a span; None without a curve."""
    curve = seen(restart, best_probe_ns)
    if curve is None:
        return None
    _, late = parts(curve)
    own = [point.undisturbed for point in late]
    return noise.Split(
        own=medians_ns(late),
        observed=np.asarray([point.observed_ns for point in late], dtype=np.float64),
        undisturbed=None if None in own else sum(filter(None, own)),
        lost_share=lost_share(curve, late),
        is_contended=not _is_told(late),
    )


def lost_share(curve: Curve, points: Sequence[Point]) -> float | None:
    """Return the share of the time of some spans that their inferences waited for a core, None where nobody tells."""
    begins = dict(zip(curve.points, [0, *(point.until_ns for point in curve.points)], strict=False))
    took_ns = sum(point.until_ns - begins[point] for point in points)
    lost = [point.lost_ns for point in points]
    return None if None in lost else min(1.0, sum(filter(None, lost)) / took_ns)


def _is_told(points: Sequence[Point]) -> bool:
    """Whether enough of the spans count for their latency to be believed."""
    return len(kept(points)) >= noise.LEAST_KEPT * len(points)


def doubt(restart: Restart, best_probe_ns: int | None = None) -> tuple[Verdict, str] | None:
    """Return why a curve tells no sustained latency, None when it does or there is none. Throttling is none."""
    curve = seen(restart, best_probe_ns)
    if curve is None:
        return None
    early, late = parts(curve)
    if curve.ended:
        at_s = curve.points[-1].until_ns / _NS_PER_S
        return Verdict.THROTTLED, (
            f"ended after {at_s:.3g} s: {curve.ended}; it cannot keep this up: cool it better, or let it rest between"
        )
    fewest = min(sum(point.inferences for point in part) for part in (early, late))
    if fewest < noise.FEWEST_KEPT:
        return Verdict.UNSTABLE, (
            f"{fewest} inferences in the first or the last part of the time, and no median is stated of fewer than "
            f"{noise.FEWEST_KEPT}: measure longer (--minutes)"
        )
    if found := _others(restart, curve, early, late):
        return Verdict.CONTENDED, found
    if not noise.agree(medians_ns(late)):
        return Verdict.UNSTABLE, (
            f"the two halves of the last fifth differ by more than {noise.STEADY_WITHIN:.0%}: it is not steady yet, "
            "measure longer (--minutes)"
        )
    return None


def _others(restart: Restart, curve: Curve, early: Points, late: Points) -> str:
    """Say that what looks like throttling, or hides it, is the work of others; "" when it is not."""
    if quota := telemetry.limited(restart):
        return quota
    for when, part in (("at first", early), ("at the end", late)):
        if not _is_told(part):
            return (
                f"in {len(part) - len(kept(part))} of {len(part)} spans {when} too few inferences had a core "
                "to themselves: other work has it, or other virtual machines; stop them, or try again later"
            )
    slower = np.median(medians_ns(late)) > SLOWER * np.median(medians_ns(early))
    then, now = lost_share(curve, early), lost_share(curve, late)
    if now is not None and now > MAX_LOST and (slower or now - (then or 0.0) > MAX_LOST):
        before = "" if then is None else f", {then:.0%} at first"
        return f"inferences waited for a core {now:.0%} of the time at the end{before}: stop what else runs"
    disturbed = telemetry.disturbances([restart])
    if slower and disturbed and curve.marked_by == "unknown":
        return f"it became slower, and nothing tells whether by heat: {'; '.join(disturbed)}"
    return ""


def of_row(restart: Restart, best_probe_ns: int | None, seed: int) -> Sustained | None:
    """Return what a row says of the curve of a restart; `seed` is that of its intervals."""
    curve = seen(restart, best_probe_ns)
    if curve is None:
        return None
    early, late = parts(curve)
    first, last = medians_ns(early) / NS_PER_MS, medians_ns(late) / NS_PER_MS
    peak, sustained = float(np.median(first)), float(np.median(last))
    counted = kept(curve.points)
    ends_s = [point.until_ns / _NS_PER_S for point in counted]
    after_s = throttled_after(ends_s, medians_ns(counted) / NS_PER_MS, peak) if counted else None
    return Sustained(
        minutes=curve.points[-1].until_ns / _NS_PER_S / 60,
        peak_ms=peak,
        peak_ci95_ms=statistics.interval([first], seed=seed),
        loss_share=1 - peak / sustained if sustained else 0.0,
        throttled_after_s=after_s,
        hottest_c=max((point.temperature_c for point in curve.points if point.temperature_c is not None), default=None),
        why="; ".join(telemetry.throttling(restart)),
        ended=curve.ended,
        curve=moments(curve),
    )


def moments(curve: Curve) -> tuple[Moment, ...]:
    """Return the curve in at most MAX_MOMENTS points, each of as many spans as the others."""
    together = -(-len(curve.points) // MAX_MOMENTS)
    groups = [curve.points[at : at + together] for at in range(0, len(curve.points), together)]
    return tuple(_moment(group) for group in groups)


def _moment(points: Points) -> Moment:
    own = kept(points)
    return Moment(
        at_s=points[-1].until_ns / _NS_PER_S,
        median_ms=_median([point.median_ns for point in own], NS_PER_MS),
        p90_ms=_median([point.p90_ns for point in own], NS_PER_MS),
        temperature_c=_median([point.temperature_c for point in points], 1),
        frequency_mhz=_median([point.frequency_khz for point in points], _KHZ_PER_MHZ),
    )


def _median(values: Sequence[float | None], unit: float) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) / unit if known else None


@dataclass(frozen=True)
class Change:
    """A row that changes its place: `comes` onto the frontier, or else leaves it, `by` the row that dominates it.

    Both are indices in the rows that were given.
    """

    row: int
    comes: bool
    by: int | None
    kind: AccuracyClass


def changes(rows: Sequence[Row]) -> list[Change]:
    """Return which rows are on the frontier of peak latencies and not on that of sustained ones, or the other way."""
    views = [(index, view) for index, row in enumerate(rows) if row.sustained is not None for view in by_class(row)]
    last = [view for _, view in views]
    found = []
    for (index, view), then, now in zip(views, standings([_at_peak(v) for v in last]), standings(last), strict=True):
        kind = accuracy_class(view)
        if kind is not None and then.on_frontier != now.on_frontier and "none" not in (then.status, now.status):
            over = then.dominated_by if now.on_frontier else now.dominated_by
            found.append(Change(index, now.on_frontier, None if over is None else views[over][0], kind))
    return found


def _at_peak(row: Row) -> Row:
    if row.sustained is None:
        return row
    return row.model_copy(update={"median_ms": row.sustained.peak_ms, "ci95_ms": row.sustained.peak_ci95_ms})
