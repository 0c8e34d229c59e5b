"""The control series: one network that never changes, measured in every run beside all others. Pure.

Every latency of a run on a device under a runtime has that of the control there beside it. So when a latency is another
than before, it can be told whether the device (or its runtime) is another than before, too, or the model alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p
from typing import Literal

from results.judge.change.comparison import FLOORS, least_effect
from results.judge.figures import Figure, figure, latency, ratio
from results.judge.statistics import relative_spread
from results.records import Row, Verdict

Cause = Literal["nothing", "device", "model", "both", "unknown"]

FEWEST_RESTARTS, LEAST_OF_FEW = 3, 0.10
"""Below so many restarts an interval is too narrow to tell changes below 10 % from noise."""
FEWEST_RUNS = 3
"""Of fewer earlier runs it is not told how far a control moves by itself."""


@dataclass(frozen=True)
class Change:
    """What is not as it was from one row to a later one of the same name, and why it is believed so."""

    cause: Cause
    words: str


def apart(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows that were asked for, and those of the control."""
    return [row for row in rows if not row.control], [row for row in rows if row.control]


def beside(rows: Sequence[Row], controls: Sequence[Row]) -> list[Row]:
    """The rows of one run, each with the latency of the valid control of its device and runtime."""
    valid = {(row.device, row.backend): row for row in controls if row.verdict is Verdict.VALID}
    return [_beside(row, valid.get((row.device, row.backend))) for row in rows]


def _beside(row: Row, control: Row | None) -> Row:
    if control is None:
        return row
    return row.model_copy(update={"control_ms": control.median_ms, "control_ci95_ms": control.ci95_ms})


def changed(before: Row, after: Row, floor: float = 0.0) -> Change:
    """Say whether it was the device that changed from one row to a later one of the same name, the model, or both.

    A latency has changed when its intervals are disjoint and the change matters (`comparison.least_effect`; `floor` is
    how far latencies of the device move from run to run by themselves, as a fraction). The model has changed when its
    latency has, beyond what the control does. Without valid latencies and controls in both that cannot be told.
    """
    if not (before.verdict is after.verdict is Verdict.VALID and before.median_ms and after.median_ms):
        return Change("unknown", "cannot be told: not both were measured and valid")
    is_few = min(before.n_restarts, after.n_restarts) < FEWEST_RESTARTS
    floor = max(floor, LEAST_OF_FEW / FLOORS) if is_few else floor
    own = _Move.of(latency(before), latency(after), floor)
    if not before.control_ms or not after.control_ms:
        return Change("unknown", f"{own.words}; what changed cannot be told: not both have a valid control")
    control = _Move.of(_control(before), _control(after), floor)
    words = f"{own.words}, its control {control.words}"
    left = ratio(own.ratio, control.ratio)
    if not (own.matters or control.matters):
        return Change("nothing", words)
    # A short control can move by what matters to the row and not to itself, as 0.05 ms count for nothing.
    explains = _is_beyond_noise(control.ratio) and abs(log(left.value)) < abs(log(control.ratio.value))
    if not (control.matters or explains):
        return Change("model", f"{words}: {_model(before, after)}")
    device = "the device changed"
    if before.backend_version != after.backend_version:
        device = f"the device changed, or its runtime, which was {before.backend_version}"
    if own.matters and _is_change(left, least_effect(before.median_ms, floor)):
        return Change("both", f"{words}: {device}, and beyond that {_model(before, after)}")
    return Change("device", f"{words}: {device}")


def since(earlier: Sequence[Row], controls: Sequence[Row], now: Sequence[Row]) -> list[str]:
    """Say of the rows of a run, in lines, what changed since the latest `earlier` row of the same name.

    `controls` are the earlier rows of the control of whatever run: from a few runs on they tell how far it moves by
    itself. Where only the device changed, a line says so of all rows of a runtime.
    """
    apart_, _ = apart(earlier)
    last = {_name(row): row for row in apart_}
    lines: list[str] = []
    moved: dict[tuple[str, str], list[Change]] = {}
    for row in apart(now)[0]:
        if (before := last.get(_name(row))) is None:
            continue
        change = changed(before, row, _floor(controls, row))
        if change.cause == "device":
            moved.setdefault((row.device, row.backend), []).append(change)
        elif change.cause in ("model", "both"):
            lines.append(f"{row.device}, {row.backend}, {row.model}: since run {before.run} {change.words}")
    for (device, backend), changes in moved.items():
        many = f" (so of {len(changes)} rows)" if len(changes) > 1 else ""
        lines.insert(0, f"{device}, {backend}: since the last run {changes[0].words}{many}")
    return lines


@dataclass(frozen=True)
class _Move:
    """How many times as long something takes as before, and whether that is a change."""

    ratio: Figure
    matters: bool

    @classmethod
    def of(cls, before: Figure, after: Figure, floor: float) -> _Move:
        found = ratio(after, before)
        is_apart = before.is_below(after) or after.is_below(before)
        return cls(found, is_apart and _is_change(found, least_effect(before.value, floor)))

    @property
    def words(self) -> str:
        """Like `12.0 % slower (95 %: 10.5 to 13.1)`."""
        low, value, high = (100 * (part - 1) for part in self.ratio)
        if value < 0:
            low, value, high = -high, -value, -low
            return f"{value:.1f} % faster (95 %: {low:.1f} to {high:.1f})"
        return f"{value:.1f} % slower (95 %: {low:.1f} to {high:.1f})"


def _is_change(ratio: Figure, least: float) -> bool:
    """Whether a ratio is beyond noise, and far enough from 1."""
    return _is_beyond_noise(ratio) and abs(log(ratio.value)) >= log1p(least)


def _is_beyond_noise(ratio: Figure) -> bool:
    return ratio.low > 1 or ratio.high < 1


def _control(row: Row) -> Figure:
    return figure(row.control_ms or 0.0, row.control_ci95_ms)


def _model(before: Row, after: Row) -> str:
    """That it is the row by itself which changed, and what of it is another, where that is known."""
    if before.artifact_sha256 != after.artifact_sha256:
        return "the model changed, its file is another"
    if before.backend_version != after.backend_version:
        return f"the same file runs otherwise than under {before.backend_version}"
    return "the same file runs otherwise, under the same runtime"


def _name(row: Row) -> tuple[object, ...]:
    """What two rows have in common that are measurements of the same, whatever is in the file by now."""
    options = tuple(sorted(row.options.items()))
    return row.device, row.model, row.backend, row.precision, row.method, row.threads, row.artifact_format, options


def _floor(controls: Sequence[Row], row: Row) -> float:
    """How far the control of a row's device and runtime moved from run to run, 0 of too few runs."""
    alike = [
        one.median_ms
        for one in controls
        if (one.device, one.backend, one.backend_version) == (row.device, row.backend, row.backend_version)
        and one.verdict is Verdict.VALID
        and one.median_ms
    ]
    return relative_spread(alike) or 0.0 if len(alike) >= FEWEST_RUNS else 0.0
