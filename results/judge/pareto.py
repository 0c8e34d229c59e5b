"""Which rows stand on the accuracy-versus-latency frontier. Pure; the only definition of the frontier there is.

A class is what may share a frontier: the same device and the same kind, metric and data set of accuracy. Within a
class, over rows with verdict `valid`, an accuracy and a positive median (a row of several accuracies is in several),
but for those whose output holds NaN or infinities that nobody asked for, or was destroyed by its precision:

    A dominates B  when  A.accuracy >= B.accuracy and A.median <= B.median, and one of the two is strict.

Accuracy is taken as better when higher. A row that nobody dominates is on the `frontier`. A dominated row is a `tie`
when each of its dominators has exactly its accuracy and an interval that overlaps its own: it lost by noise alone, and
stays. Every other dominated row is `dominated`. Rows outside any class have the standing `none`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from results.records import Accuracy, Row, Verdict

Status = Literal["frontier", "tie", "dominated", "none"]
AccuracyClass = tuple[str, str, str]
"""Kind, metric and data set of an accuracy: figures that differ in one of them are never compared."""


@dataclass(frozen=True)
class Standing:
    """Where one row stands in its class.

    `dominated_by` is the index, in the sequence that was given, of the fastest row at no lower accuracy (the frontier
    point that saves most); set for `dominated` and `tie`.
    """

    status: Status
    dominated_by: int | None = None

    @property
    def on_frontier(self) -> bool:
        """Whether the row is shown on the frontier: undominated, or dominated by noise alone."""
        return self.status in ("frontier", "tie")


Standings = dict[AccuracyClass, Standing]
"""Where one row stands in each of its classes."""


@dataclass(frozen=True)
class _Point:
    index: int
    accuracy: float
    median: float
    low: float
    high: float


def standings(rows: Sequence[Row]) -> list[Standing]:
    """The standing of each row by its first accuracy, in the order given. O(n log n)."""
    classes: dict[tuple[str, AccuracyClass], list[_Point]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row.accuracy and row.median_ms and has_place(row) and row.verdict is Verdict.VALID and not is_void(row):
            low, high = row.ci95_ms or (row.median_ms, row.median_ms)
            point = _Point(index, row.accuracy.value, row.median_ms, low, high)
            classes[row.device, _class_of(row.accuracy)].append(point)
    result = [Standing("none")] * len(rows)
    for points in classes.values():
        for index, standing in _within(points):
            result[index] = standing
    return result


def standings_by_class(rows: Sequence[Row]) -> list[Standings]:
    """The standing of each row in each class of its accuracies, in the order given; none where it has no place."""
    views = [(index, view) for index, row in enumerate(rows) for view in by_class(row)]
    result: list[Standings] = [{} for _ in rows]
    for (index, view), standing in zip(views, standings([view for _, view in views]), strict=True):
        kind, by = accuracy_class(view), standing.dominated_by
        if kind is not None and standing.status != "none":
            result[index][kind] = Standing(standing.status, None if by is None else views[by][0])
    return result


def by_class(row: Row) -> list[Row]:
    """The row once for each class it is in, with the first accuracy of that class alone; as it is without any."""
    if len(row.accuracies) < 2:
        return [row]
    views = [row.model_copy(update={"accuracies": (accuracy,)}) for accuracy in row.accuracies]
    return list({accuracy_class(view): view for view in reversed(views)}.values())[::-1]


def accuracy_class(row: Row) -> AccuracyClass | None:
    """The class of the row's first accuracy, None without one."""
    return None if row.accuracy is None else _class_of(row.accuracy)


def is_void(row: Row) -> bool:
    """Whether the outputs mean nothing, however fast they come."""
    return bool(row.nonfinite or row.destroyed)


def has_place(row: Row) -> bool:
    """Whether the row can be drawn: it has an accuracy and a positive median, whatever its verdict."""
    return row.accuracy is not None and row.median_ms is not None and row.median_ms > 0


def _class_of(accuracy: Accuracy) -> AccuracyClass:
    return accuracy.kind, accuracy.metric, accuracy.dataset


def _within(points: list[_Point]) -> list[tuple[int, Standing]]:
    """Standings within one class: a sweep from the highest accuracy down, equal accuracies from fast to slow."""
    result: list[tuple[int, Standing]] = []
    best: _Point | None = None  # fastest so far; of equally fast ones the more accurate, as it came first
    ordered = sorted(points, key=lambda point: (-point.accuracy, point.median, point.index))
    for _, group in groupby(ordered, key=lambda point: point.accuracy):
        peers = list(group)
        better, best = best, _faster(best, peers[0])
        least_high, most_low = float("inf"), float("-inf")  # over peers that are strictly faster
        for _, equals in groupby(peers, key=lambda point: point.median):
            level = list(equals)
            for point in level:
                beaten = better is not None and better.median <= point.median
                overlapped = least_high >= point.low and most_low <= point.high
                result.append((point.index, _standing(point, peers[0], best, beaten, overlapped)))
            least_high = min(least_high, *(point.high for point in level))
            most_low = max(most_low, *(point.low for point in level))
    return result


def _faster(best: _Point | None, point: _Point) -> _Point:
    return point if best is None or point.median < best.median else best


def _standing(point: _Point, fastest_peer: _Point, best: _Point, beaten: bool, overlapped: bool) -> Standing:
    """`beaten`: a more accurate row is as fast. `overlapped`: every faster row of equal accuracy overlaps."""
    if beaten:
        return Standing("dominated", best.index)
    if point.median == fastest_peer.median:
        return Standing("frontier")
    return Standing("tie" if overlapped else "dominated", best.index)
