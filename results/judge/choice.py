"""`--precision auto`: of the precisions of a model under a runtime the fastest that costs little enough. Pure.

What a precision costs is how far the accuracy that was measured of its very file is below that of the fp32 file on the
same samples, in percentage points. Where one of the two was not measured, a signal-to-noise ratio of its outputs
against those of fp32 of at least `LEAST_SNR_DB` stands for a loss that is small enough: the least that was found, when
the file was made or on the device. With trained weights int8 names the class that fp32 names in 76 to 90 % of hard
inputs at 15 dB, and what is destroyed lies below 5 dB.

The figures choose, also those of unstable rows, so that nothing is chosen beside something faster that also may be;
what noise leaves open is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from results.judge.figures import Figure, figure, latency
from results.judge.pareto import unsound
from results.judge.twins import Group, group, is_reference, references, speedup
from results.records import Row, Verdict, shortened

LEAST_SNR_DB = 10.0
_MEASURED = (Verdict.VALID, Verdict.UNSTABLE)


@dataclass(frozen=True)
class _Cost:
    """Whether a precision costs little enough, and what it does in words ("" of fp32, which costs nothing)."""

    row: Row
    is_small: bool
    words: str


def marked(rows: Sequence[Row], max_loss: float | None) -> list[Row]:
    """The rows of a run in their order, those that `auto` chooses with why; without a bound nothing is chosen."""
    if max_loss is None:
        return list(rows)
    twins = references(rows)
    groups: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        if row.median_ms and row.verdict in _MEASURED and not unsound(row):
            groups[group(row)].append(row)
    chosen = dict(_choose(found, twins.get(of), max_loss) for of, found in groups.items())
    return [row.model_copy(update={"chosen": chosen.get(row.case_id, "")}) for row in rows]


def _choose(rows: Sequence[Row], twin: Row | None, max_loss: float) -> tuple[str, str]:
    """The case that is chosen of a group, and why; no case where all cost too much."""
    costs = sorted((_cost(row, max_loss) for row in rows), key=lambda cost: latency(cost.row).value)
    small = [cost for cost in costs if cost.is_small]
    if not small:
        return "", ""
    best = small[0]
    words = [f"auto: {_named(best.row)}{_gain(best.row, twin)}{f', {best.words}' if best.words else ''}"]
    alike = [cost for cost in small[1:] if not latency(best.row).is_below(latency(cost.row))]
    words += [f"{_named(cost.row)} is as fast but for noise" for cost in alike]
    others = [cost for cost in costs if cost not in alike and cost is not best]
    words += [f"{_named(cost.row)} {cost.words}" for cost in others if not cost.is_small]
    if is_reference(best.row):
        words += [f"{_named(cost.row)} is slower{_gain(cost.row, twin)}" for cost in others if cost.is_small]
    return best.row.case_id, shortened("; ".join(words))


def _cost(row: Row, max_loss: float) -> _Cost:
    if not row.method:  # as it was exported or given
        return _Cost(row, True, "")
    found = row.evaluation
    if found is None or found.loss is None:
        return _by_outputs(row)
    return _by_accuracy(row, figure(found.loss, found.loss_ci95), max_loss)


def _by_accuracy(row: Row, lost: Figure, max_loss: float) -> _Cost:
    words = f"loses {lost.value:.2g} percentage points (95 %: {lost.low:.2g} to {lost.high:.2g})"
    if lost.value > max_loss:
        return _Cost(row, False, f"{words}, more than {max_loss:g}")
    return _Cost(row, True, f"{words}, perhaps more than {max_loss:g}" if lost.high > max_loss else words)


def _by_outputs(row: Row) -> _Cost:
    ratios = [ratio for ratio in (row.quality.snr_db if row.quality else None, row.snr_db) if ratio is not None]
    if not ratios:
        return _Cost(row, False, "was held against fp32 neither by its accuracy nor by its outputs")
    words = f"is {min(ratios):.1f} dB from fp32 in its outputs, accuracy not measured"
    if min(ratios) < LEAST_SNR_DB:
        return _Cost(row, False, f"{words}, less than {LEAST_SNR_DB:g}")
    return _Cost(row, True, words)


def _named(row: Row) -> str:
    told = [row.method] if row.method else []
    told += [row.verdict.value] if row.verdict is not Verdict.VALID else []
    return f"{row.precision} ({', '.join(told)})" if told else row.precision


def _gain(row: Row, twin: Row | None) -> str:
    found = None if twin is None or is_reference(row) else speedup(row, twin)
    return "" if found is None else f", {found.value:.2f} times as fast as fp32"
