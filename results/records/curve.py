"""How a latency went over minutes without a pause: what the device told, and what a row says of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from results.records.base import Nanoseconds, Record, Text
from results.records.telemetry import number_within

MAX_POINTS = 1000
MAX_MOMENTS = 120

Celsius = Annotated[float | None, BeforeValidator(number_within(-100, 200))]
Kilohertz = Annotated[float | None, BeforeValidator(number_within(1, 1e9))]
Marked = Literal["schedstat", "switches", "unknown"]


class Point(Record):
    """A span of inferences back to back, which ended `until_ns` after the first of all began.

    `median_ns` and `p90_ns` are of the `undisturbed` ones, None where there are none; of all where nothing marks them,
    and `undisturbed` is None. `observed_ns` is the median of all, `lost_ns` how long they waited for a core,
    `probe_ns` the least time of a fixed piece of work among them.
    `temperature_c` of the hottest sensor and `frequency_khz` of the fastest core were read after the last of them; None
    where they were not, or make no sense.
    """

    until_ns: Nanoseconds
    inferences: Annotated[int, Field(ge=1, le=10**9)]
    undisturbed: Annotated[int, Field(ge=0)] | None = None
    median_ns: Nanoseconds | None = None
    p90_ns: Nanoseconds | None = None
    observed_ns: Nanoseconds
    lost_ns: Nanoseconds | None = None
    probe_ns: Nanoseconds | None = None
    temperature_c: Celsius = None
    frequency_khz: Kilohertz = None


class Curve(Record):
    """The spans of a restart in their order. `ended` says why there are no more, "" when the time was over."""

    points: Annotated[tuple[Point, ...], Field(min_length=1, max_length=MAX_POINTS)]
    marked_by: Marked = "unknown"
    ended: Text = ""

    @model_validator(mode="after")
    def _in_order(self) -> Curve:
        ends = [0, *(point.until_ns for point in self.points)]
        if any(now <= before for before, now in pairwise(ends)):
            raise ValueError("the spans of a curve must follow each other")
        if any((point.undisturbed or 0) > point.inferences for point in self.points):
            raise ValueError("more inferences were undisturbed than there are")
        return self

    @property
    def inferences(self) -> int:
        """How many there were."""
        return sum(point.inferences for point in self.points)


class Moment(Record):
    """A point of a curve as a row has it: the medians of spans that follow each other, until `at_s`."""

    at_s: float
    median_ms: float | None
    p90_ms: float | None = None
    temperature_c: float | None = None
    frequency_mhz: float | None = None


class Sustained(Record):
    """What minutes without a pause did to a latency; `median_ms` of the row is that of the last fifth.

    `peak_ms`, with its 95 % interval, is the median of the first minute, or the first fifth where that is shorter.
    `loss_share` is the share of its speed that it lost, 1 - peak / median, negative where it became faster.
    `throttled_after_s` is from when on it stayed more than 10 % above the peak, None where it did not. `why` says what
    the device tells of its being slowed down, `ended` why it was ended early; each is empty without.
    """

    minutes: float
    peak_ms: float
    peak_ci95_ms: tuple[float, float]
    loss_share: float
    throttled_after_s: float | None = None
    hottest_c: float | None = None
    why: Text = ""
    ended: Text = ""
    curve: Annotated[tuple[Moment, ...], Field(max_length=MAX_MOMENTS)] = ()
