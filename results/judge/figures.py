"""A figure in its interval, and what two of them say about each other. Pure."""

from __future__ import annotations

from math import exp, hypot, log
from typing import NamedTuple

from results.records import Accuracy, Row


class Figure(NamedTuple):
    """A value in its 95 % interval: low <= value <= high. What comes without an interval is taken for exact."""

    low: float
    value: float
    high: float

    def __neg__(self) -> Figure:
        return Figure(-self.high, -self.value, -self.low)

    def is_below(self, other: Figure) -> bool:
        """Whether it is less beyond noise: the intervals are disjoint."""
        return self.high < other.low


def figure(value: float, interval: tuple[float, float] | None) -> Figure:
    """A bootstrap's interval need not hold its own value; that of a figure does."""
    low, high = interval or (value, value)
    return Figure(min(low, value), value, max(high, value))


def latency(row: Row) -> Figure:
    """The row's median in ms."""
    return figure(row.median_ms or 0.0, row.ci95_ms)


def loss(accuracy: Accuracy | None) -> Figure:
    """An accuracy, negative, in the unit of its metric: of it, as of a latency, less is better."""
    return figure(0.0, None) if accuracy is None else -figure(accuracy.value, accuracy.ci95)


def difference(a: Figure, b: Figure) -> Figure:
    """a - b of two independent estimates.

    The interval recovers the variance of each estimate from its own limits (MOVER: Zou and Donner, Statistics in
    Medicine 27, 2008, section 3). Of two accuracies on the same samples it is too wide, since these err together.
    """
    value = a.value - b.value
    return Figure(
        value - hypot(a.value - a.low, b.high - b.value), value, value + hypot(a.high - a.value, b.value - b.low)
    )


def ratio(a: Figure, b: Figure) -> Figure:
    """a / b of two independent positive estimates: `difference` of their logarithms."""
    found = difference(_logarithms(a), _logarithms(b))
    return Figure(*map(exp, found))


def _logarithms(of: Figure) -> Figure:
    least = of.value * 1e-6  # an interval that reaches 0 says no more than that
    return Figure(*(log(max(part, least)) for part in of))
