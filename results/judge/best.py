"""Which row to take within limits, and what speaks against being sure of it. Pure.

Rows of one device that may be on a frontier, in one class of accuracy, are held against the limits by their figures.
Of those that fit, the best is

- the most accurate, the fastest of equally accurate ones, where a latency is the limit, or size or memory alone is;
- the fastest, the most accurate of equally fast ones, where an accuracy is to be reached and no latency is the limit.

Intervals choose nothing. They say what is left open: who may be on the other side of a limit, and who is not told apart
from the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from results.judge.figures import Figure, figure, latency, loss
from results.judge.pareto import AccuracyClass, accuracy_class, by_class, has_place, off_frontier
from results.records import Row, Verdict

Aim = Literal["most accurate", "fastest"]
WORDS = {
    "max_latency_ms": "the latency",
    "min_accuracy": "the accuracy",
    "max_size_bytes": "the size",
    "max_memory_bytes": "the memory",
}
"""Limits in words."""


@dataclass(frozen=True)
class Limits:
    """What a row has to keep, each None where it does not matter; `min_accuracy` is in the unit of the metric."""

    max_latency_ms: float | None = None
    min_accuracy: float | None = None
    max_size_bytes: float | None = None
    max_memory_bytes: float | None = None

    @property
    def aim(self) -> Aim:
        return "fastest" if self.min_accuracy is not None and self.max_latency_ms is None else "most accurate"


@dataclass(frozen=True)
class Nearest:
    """The row that comes nearest to a limit that it misses; `also` names the other limits that it misses."""

    limit: str
    row: Row
    also: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """`fitting` are all rows within the limits, the best first. Rows have the accuracy of the class alone.

    `better` has for each limit the best row that misses this limit alone and would be taken without it; `nearest` for
    each limit that is missed the row that comes nearest, where nothing fits. `open` are rows that noise may put in the
    place of the best, with how, `unsure` limits that the best row keeps by its figure and not by its whole interval.
    `left_out` are rows that were not considered, by their reason.
    """

    device: str
    kind: AccuracyClass
    limits: Limits
    fitting: tuple[Row, ...]
    better: Mapping[str, Row]
    nearest: tuple[Nearest, ...]
    open: tuple[tuple[Row, str], ...]
    unsure: tuple[str, ...]
    left_out: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    @property
    def best(self) -> Row | None:
        return self.fitting[0] if self.fitting else None

    @property
    def second(self) -> Row | None:
        return self.fitting[1] if len(self.fitting) > 1 else None


@dataclass(frozen=True)
class _Limit:
    """`of` is a row's figure, of which less is better, None where it is not known."""

    name: str
    bound: float
    of: Callable[[Row], Figure | None]

    def is_kept(self, row: Row) -> bool:
        found = self.of(row)
        return found is not None and found.value <= self.bound

    def is_unsure(self, row: Row) -> bool:
        """Whether the limit lies within the row's interval."""
        found = self.of(row)
        return found is not None and found.low <= self.bound < found.high

    def miss(self, row: Row) -> float:
        found = self.of(row)
        return float("inf") if found is None else found.value - self.bound


def classes(rows: Iterable[Row]) -> dict[AccuracyClass, int]:
    """The classes of accuracy in which these rows can be drawn, with their numbers of rows."""
    found: dict[AccuracyClass, int] = defaultdict(int)
    for row in rows:
        for view in by_class(row):
            kind = accuracy_class(view)
            if kind is not None and has_place(view):
                found[kind] += 1
    return dict(found)


def answer(rows: Sequence[Row], kind: AccuracyClass, limits: Limits) -> Answer:
    """The answer over rows of one device; those without an accuracy of the class are left out."""
    asked = _limits(limits)
    candidates, left_out = _considered(rows, kind, asked)
    order = _order(limits.aim)
    kept = [(row, [limit.name for limit in asked if not limit.is_kept(row)]) for row in candidates]
    fitting = sorted((row for row, missed in kept if not missed), key=order)
    best = fitting[0] if fitting else None
    return Answer(
        device=rows[0].device if rows else "",
        kind=kind,
        limits=limits,
        fitting=tuple(fitting),
        better={} if best is None else _better(best, kept, order),
        nearest=() if best is not None else tuple(_nearest(kept, asked)),
        open=() if best is None else tuple(_open(best, candidates, asked, limits.aim)),
        unsure=() if best is None else tuple(limit.name for limit in asked if limit.is_unsure(best)),
        left_out=left_out,
    )


def _limits(limits: Limits) -> list[_Limit]:
    bounds = [
        ("max_latency_ms", limits.max_latency_ms, latency),
        ("min_accuracy", None if limits.min_accuracy is None else -limits.min_accuracy, _loss),
        ("max_size_bytes", limits.max_size_bytes, lambda row: _exact(row.size_bytes)),
        ("max_memory_bytes", limits.max_memory_bytes, lambda row: _exact(row.peak_rss_bytes)),
    ]
    return [_Limit(name, bound, of) for name, bound, of in bounds if bound is not None]


def _loss(row: Row) -> Figure:
    return loss(row.accuracy)


def _exact(value: int | None) -> Figure | None:
    return None if value is None else figure(value, None)


def _order(aim: Aim) -> Callable[[Row], tuple[float, float, str, str]]:
    def key(row: Row) -> tuple[float, float, str, str]:
        by = (_loss(row).value, latency(row).value)
        return (*(by if aim == "most accurate" else by[::-1]), row.model, row.case_id)

    return key


def _considered(
    rows: Sequence[Row], kind: AccuracyClass, asked: Sequence[_Limit]
) -> tuple[list[Row], dict[str, list[Row]]]:
    """The rows in question, each with its accuracy of the class alone, and the others by why they are not."""
    candidates, left_out = [], defaultdict(list)
    for row in rows:
        view = next((view for view in by_class(row) if accuracy_class(view) == kind), None)
        if row.verdict is not Verdict.VALID:
            reason = row.verdict.value  # each in its own way, which its row says
        elif row.median_ms is None or row.median_ms <= 0:
            reason = "no latency was measured"
        elif view is None:
            others = sorted({f"{a.kind} {a.metric} on {a.dataset}" for a in row.accuracies})
            reason = f"another accuracy ({', '.join(others)})" if others else "no accuracy is known"
        else:
            unknown = [WORDS[limit.name] for limit in asked if limit.of(view) is None]
            reason = off_frontier(view) or (f"{' and '.join(unknown)} is not known" if unknown else "")
        if reason or view is None:
            left_out[reason].append(row)
        else:
            candidates.append(view)
    return candidates, dict(left_out)


def _better(
    best: Row, kept: Sequence[tuple[Row, list[str]]], order: Callable[[Row], tuple[float, float, str, str]]
) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for row, missed in sorted(kept, key=lambda one: order(one[0])):
        if len(missed) == 1 and order(row)[:2] < order(best)[:2]:
            found.setdefault(missed[0], row)
    return found


def _nearest(kept: Sequence[tuple[Row, list[str]]], asked: Sequence[_Limit]) -> Iterable[Nearest]:
    """For each limit, of the rows that miss it those that miss fewest others, and of these the nearest."""
    for limit in asked:
        missing = [(row, missed) for row, missed in kept if limit.name in missed]
        if missing:
            row, missed = min(missing, key=lambda one: (len(one[1]), limit.miss(one[0])))
            yield Nearest(limit.name, row, tuple(name for name in missed if name != limit.name))


def _open(best: Row, candidates: Sequence[Row], asked: Sequence[_Limit], aim: Aim) -> Iterable[tuple[Row, str]]:
    """Rows that are not told apart from the best, and rows of which the noise says not on which side of a limit."""
    wanted, other = (_loss, latency) if aim == "most accurate" else (latency, _loss)
    for row in sorted(candidates, key=_order(aim)):
        if row.case_id == best.case_id or wanted(best).is_below(wanted(row)):
            continue
        missed = [limit for limit in asked if not limit.is_kept(row)]
        if all(limit.is_unsure(row) for limit in missed) and missed:
            yield row, f"misses {' and '.join(WORDS[limit.name] for limit in missed)} by no more than noise"
        elif not missed and not _is_beaten(row, best, wanted, other):
            yield row, "is not told apart from the best"


def _is_beaten(row: Row, best: Row, wanted: Callable[[Row], Figure], other: Callable[[Row], Figure]) -> bool:
    """Whether nothing speaks for a row that is within the noise of the best: it is clearly worse in the other figure.

    Where it is better there by its bare figure, it is left open.
    """
    worse = wanted(best).value <= wanted(row).value and other(best).value <= other(row).value
    return worse and other(best).is_below(other(row))
