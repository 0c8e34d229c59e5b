"""Which rows stand on the accuracy-versus-latency frontier. Pure; the only definition of the frontier there is.

A class is what may share a frontier: the same device and the same kind, metric and data set of accuracy. In a class are
all rows with an accuracy of it and a positive median (a row of several accuracies is in several), but for those that
`off_frontier` gives a reason for. Both figures have an interval; a published accuracy, which comes without, is exact.
One row is better than another *beyond noise* in a figure when their intervals are disjoint.

    A beats B    when A is worse than B in neither figure, and better beyond noise in one.
    A matches B  when B is better than A beyond noise in neither figure, and A is better beyond noise in one,
                 or worse in neither and better in one.

A row that another beats is `dominated`. Of those left, one that another of those left matches is a `tie`: what speaks
for it is no more than noise. The rest is the `frontier`. Rows outside any class have the standing `none`.

To beat is part of an order (that of the bare figures), so nothing is beaten in a circle, and what is dominated can be
left out without any change. It asks for bare figures in one direction, because accuracies of one data set err together:
two rows whose figures say nothing for one of them are not kept apart by intervals that overlap. Rows can match each
other in a circle, where one interval is far wider than others; all of them are ties then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, NamedTuple

from results.judge.figures import Figure, latency, loss
from results.records import Accuracy, Row, Verdict

Status = Literal["frontier", "tie", "dominated", "none"]
AccuracyClass = tuple[str, str, str]
"""Kind, metric and data set of an accuracy: figures that differ in one of them are never compared."""


@dataclass(frozen=True)
class Standing:
    """Where one row stands in its class.

    `dominated_by` is the index, in the sequence that was given, of a row that beats it, or that it ties with: one of
    the frontier where there is one. `reason` says why a row that has its place in the chart has no standing.
    """

    status: Status
    dominated_by: int | None = None
    reason: str = ""

    @property
    def on_frontier(self) -> bool:
        """Whether the row is shown on the frontier: on it, or not told apart from it."""
        return self.status in ("frontier", "tie")


Standings = dict[AccuracyClass, Standing]
"""Where one row stands in each of its classes."""


class _Point(NamedTuple):
    """A row's latency and its accuracy, negative: of both less is better."""

    place: int
    axes: tuple[Figure, Figure]


def standings(rows: Sequence[Row]) -> list[Standing]:
    """The standing of each row by its first accuracy, in the order given. O(n log n)."""
    classes: dict[tuple[str, AccuracyClass], list[_Point]] = defaultdict(list)
    result = [Standing("none")] * len(rows)
    for index, row in enumerate(rows):
        if row.accuracy is None or not has_place(row):
            continue
        if reason := off_frontier(row):
            result[index] = Standing("none", reason=reason)
        else:
            classes[row.device, _class_of(row.accuracy)].append(_point(index, row, row.accuracy))
    for points in classes.values():
        for index, standing in _within(points):
            result[index] = standing
    return result


def standings_by_class(rows: Sequence[Row]) -> list[Standings]:
    """The standing of each row in each class of its accuracies, in the order given.

    `none` is there only with the reason of a valid row: what is not valid has its reason in a field of its own.
    """
    views = [(index, view) for index, row in enumerate(rows) for view in by_class(row)]
    result: list[Standings] = [{} for _ in rows]
    for (index, view), standing in zip(views, standings([view for _, view in views]), strict=True):
        kind, by = accuracy_class(view), standing.dominated_by
        explained = standing.reason and view.verdict is Verdict.VALID
        if kind is not None and (standing.status != "none" or explained):
            result[index][kind] = replace(standing, dominated_by=None if by is None else views[by][0])
    return result


def off_frontier(row: Row) -> str:
    """Why a row with a latency and an accuracy (its first) is on no frontier; "" when it may be on one."""
    if row.verdict is not Verdict.VALID:
        return f"{row.verdict.value}: {row.reason}" if row.reason else row.verdict.value
    return unsound(row)


def unsound(row: Row) -> str:
    """Why the outputs of a row cannot be relied on, "" when they can.

    An accuracy that was measured of the very file, on its device, is a check of them, too.
    """
    if row.nonfinite:
        return f"not finite: {row.nonfinite}"
    if row.evaluation is not None and row.accuracy is not None and row.accuracy.kind == "measured":
        return ""
    if not row.verified:
        return f"its output was not checked: {row.unverified or 'there is no reference to compare with'}"
    if row.destroyed:
        return f"destroyed by its precision: {row.destroyed}"
    return ""


def by_class(row: Row) -> list[Row]:
    """The row once for each class it is in, with the first accuracy of that class alone; as it is without any."""
    if len(row.accuracies) < 2:
        return [row]
    views = [row.model_copy(update={"accuracies": (accuracy,)}) for accuracy in row.accuracies]
    return list({accuracy_class(view): view for view in reversed(views)}.values())[::-1]


def accuracy_class(row: Row) -> AccuracyClass | None:
    """The class of the row's first accuracy, None without one."""
    return None if row.accuracy is None else _class_of(row.accuracy)


def has_place(row: Row) -> bool:
    """Whether the row can be drawn: it has an accuracy and a positive median, whatever its verdict."""
    return row.accuracy is not None and row.median_ms is not None and row.median_ms > 0


def _class_of(accuracy: Accuracy) -> AccuracyClass:
    return accuracy.kind, accuracy.metric, accuracy.dataset


def _point(index: int, row: Row, accuracy: Accuracy) -> _Point:
    return _Point(index, (latency(row), loss(accuracy)))


_Part = Callable[[_Point], float]


class _Least:
    """Says which of some points whose `key` is at most a bound has the least `value`, in O(log n)."""

    def __init__(self, points: Sequence[_Point], key: _Part, value: _Part) -> None:
        def less(best: _Point, point: _Point) -> _Point:
            return point if value(point) < value(best) else best

        ordered = sorted(points, key=lambda point: (key(point), value(point), point.place))
        self._keys = [key(point) for point in ordered]
        self._least = list(accumulate(ordered, less))

    def up_to(self, bound: float) -> _Point | None:
        count = bisect_right(self._keys, bound)
        return self._least[count - 1] if count else None


def _part(axis: int, name: Literal["low", "value", "high"]) -> _Part:
    return lambda point: float(getattr(point.axes[axis], name))


class _Field:
    """Points that others are held against."""

    def __init__(self, points: Sequence[_Point]) -> None:
        axes = ((0, 1), (1, 0))
        self._beating = [(own, other, _Least(points, _part(other, "value"), _part(own, "high"))) for own, other in axes]
        self._matching = [(own, other, _Least(points, _part(other, "low"), _part(own, "high"))) for own, other in axes]
        self._by_figures = _Least(points, _part(1, "value"), _part(0, "value"))

    def beater(self, point: _Point) -> _Point | None:
        """One that beats the point."""
        for own, other, least in self._beating:
            found = least.up_to(point.axes[other].value)
            if found is not None and found.axes[own].is_below(point.axes[own]):
                return found
        return None

    def match(self, point: _Point) -> _Point | None:
        """One that matches the point, of which nothing beats it."""
        for own, other, least in self._matching:
            found = least.up_to(point.axes[other].high)
            if found is not None and found.axes[own].is_below(point.axes[own]):
                return found
        found = self._by_figures.up_to(point.axes[1].value)
        if found is None or found.axes[0].value > point.axes[0].value:
            return None
        # Of equally fast ones the most accurate is found: equal in both, it is not better in any.
        return None if all(a.value == b.value for a, b in zip(found.axes, point.axes, strict=True)) else found


def _within(points: Sequence[_Point]) -> list[tuple[int, Standing]]:
    """Standings within one class."""
    everyone = _Field(points)
    left = [point for point in points if everyone.beater(point) is None]
    unbeaten = _Field(left)
    tied = {point.place for point in left if unbeaten.match(point) is not None}
    frontier = _Field([point for point in left if point.place not in tied])
    result = []
    for point in points:
        if everyone.beater(point) is not None:
            over = frontier.beater(point) or unbeaten.beater(point) or everyone.beater(point)
            result.append((point.place, Standing("dominated", over.place if over else None)))
        elif point.place in tied:
            over = frontier.match(point) or unbeaten.match(point)
            result.append((point.place, Standing("tie", over.place if over else None)))
        else:
            result.append((point.place, Standing("frontier")))
    return result
