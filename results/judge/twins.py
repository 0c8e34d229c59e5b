"""A row beside its twin: how many times as fast it is, and which operators are to blame where it is slower. Pure.

Twins have the same device, model, backend, number of threads and options, but for those by which a runtime is told to
compute in another precision. That of a row in another precision is the fp32 one; that of a transformed model in fp32 is
the model as it was before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results.judge.figures import Figure, latency, ratio
from results.judge.pareto import unsound
from results.records import Row, Verdict, shortened

_HINTS = ("inference_precision",)
_MOST_KINDS = 3

Group = tuple[object, ...]


def alike(row: Row) -> Group:
    """What rows have in common that differ in nothing but precision."""
    options = tuple(sorted(pair for pair in row.options.items() if pair[0] not in _HINTS))
    return row.device, row.model, row.backend, row.threads, options


def group(row: Row) -> Group:
    """What rows of one run have in common that differ in nothing but precision."""
    return row.run, *alike(row)


def held_against(row: Row) -> Group | None:
    """What its twin and the rows of other precisions beside that have in common; None of one that has no twin."""
    if not is_reference(row):
        return alike(row)
    return alike(row.model_copy(update={"model": row.untransformed})) if row.untransformed else None


def is_reference(row: Row) -> bool:
    """Whether the row is the fp32 one that others of its group are held against."""
    return row.precision == "fp32" and not row.method


def references(rows: Sequence[Row]) -> dict[Group, Row]:
    """The fp32 row of each group that has a valid one whose output was found right."""
    valid = [row for row in rows if row.verdict is Verdict.VALID and not unsound(row)]
    return {group(row): row for row in reversed(valid) if is_reference(row)}


def compared(rows: Sequence[Row]) -> list[Row]:
    """The rows of a run in their order, those that have a twin with their speed-up and, if slower, a note why."""
    twins = references(rows)
    return [_beside(row, twins.get((row.run, *(held_against(row) or ())))) for row in rows]


def speedup(row: Row, twin: Row) -> Figure | None:
    """How many times as fast as its twin a row is, the ratio of the medians; None where one of them has none."""
    if not row.median_ms or not twin.median_ms or row.verdict is not Verdict.VALID:
        return None
    return ratio(latency(twin), latency(row))


def _beside(row: Row, twin: Row | None) -> Row:
    found = None if twin is None else speedup(row, twin)
    if twin is None or found is None:
        return row
    what = "fp32" if twin.model == row.model else twin.model
    words = [] if found.high >= 1 else [f"slower than {what} ({found.value:.2f} times as fast): {to_blame(row, twin)}"]
    changes = {"speedup": found.value, "speedup_ci95": (found.low, found.high), "notes": (*row.notes, *words)}
    return row.model_copy(update=changes)


def to_blame(row: Row, twin: Row) -> str:
    """The kinds of operators that make a row slower than its twin, as far as the runtime tells."""
    left, before = _counts(row.actual.get("left")), _counts(twin.actual.get("left"))
    more = {kind: count - before.get(kind, 0) for kind, count in left.items() if count > before.get(kind, 0)}
    if more:
        return f"{_most(more, '{:.0f} of {}')} left to the built-in kernels"
    if shares := _counts(row.actual.get("time")):
        return f"most of its time is in {_most(shares, '{1} ({0:.0%})')}"
    computed = _counts(row.actual.get("compute"))
    others = {kind: count for kind, count in computed.items() if kind != row.precision}
    if others and row.precision in computed:
        return f"of {sum(computed.values()):.0f} operators {_most(others, '{:.0f} compute in {}')}"
    return "the runtime does not tell which operators take the time"


def _counts(told: object) -> dict[str, float]:
    """What a device says of its operators, as far as it is numbers."""
    if not isinstance(told, Mapping):
        return {}
    pairs: list[tuple[Any, Any]] = list(told.items())
    return {shortened(str(kind), 60): count for kind, count in pairs if type(count) in (int, float) and count > 0}


def _most(counts: Mapping[str, float], words: str) -> str:
    """The largest in words, which have places for the number and the kind."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    more = [f"{len(ordered) - _MOST_KINDS} more kinds"] if len(ordered) > _MOST_KINDS else []
    return ", ".join([words.format(count, kind) for kind, count in ordered[:_MOST_KINDS]] + more)
