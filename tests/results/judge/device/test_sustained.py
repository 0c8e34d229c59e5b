"""What is read off a curve: peak, sustained latency, time to throttle, and which rows change places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from results.judge.device import sustained
from results.judge.summary import rows
from results.judge.validity import judge_restart
from results.records import Curve, Point, Profile, Restart, Row, Sustained, Telemetry, Verdict
from tests.results.factory import make_case, make_document, make_restart, make_row, make_sustained

CASE = make_case()
S, MS = 10**9, 10**6
PROFILE = Profile(
    name="sustained",
    restarts=1,
    min_iterations=1,
    min_seconds=600,
    max_seconds=600,
    warmup_min_iterations=1,
    warmup_min_seconds=0,
    warmup_max_seconds=1,
    span_seconds=1,
)
latencies = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=300)


def curve(medians_ms: list[float], ended: str = "", **every: Any) -> Curve:
    """A span a second, all alike but for their latencies."""
    points = [
        Point(
            **{
                "until_ns": (second + 1) * S,
                "inferences": 100,
                "undisturbed": 100,
                "median_ns": int(median_ms * MS),
                "p90_ns": int(1.1 * median_ms * MS),
                "observed_ns": int(median_ms * MS),
                "lost_ns": 0,
            }
            | {name: value[second] if isinstance(value, list) else value for name, value in every.items()}
        )
        for second, median_ms in enumerate(medians_ms)
    ]
    return Curve(points=tuple(points), marked_by="schedstat", ended=ended)


def restart(found: Curve, **changes: Any) -> Restart:
    kept = {"samples_ns": (), "curve": found, "wall_ns": found.points[-1].until_ns + 10 * S, "warmup_stable": False}
    return make_restart(CASE, **(kept | changes))


def slowing(before: int, after: int, factor: float = 1.4) -> list[float]:
    return [10.0] * before + [10.0 * factor] * after


def row_of(found: Curve, **changes: Any) -> Row:
    (row,) = rows(make_document([CASE], [restart(found, **changes)]).model_copy(update={"header": HEADER}))
    return row


HEADER = make_document([CASE], []).header.model_copy(update={"profile": PROFILE})


def found_of(row: Row) -> Sustained:
    assert row.sustained is not None
    return row.sustained


def test_a_device_that_throttles_is_no_reason_to_doubt_what_it_sustains() -> None:
    row = row_of(curve(slowing(200, 400), temperature_c=[40 + second / 20 for second in range(600)]))
    assert (row.verdict, row.reason) == (Verdict.VALID, "")
    assert row.median_ms == pytest.approx(14.0)
    assert row.percentiles_ms == {}
    assert row.n_iterations == 60_000
    assert row.marked_by == "schedstat"
    found = found_of(row)
    assert (found.peak_ms, found.minutes, found.throttled_after_s) == (pytest.approx(10.0), 10.0, 200.0)
    assert found.loss_share == pytest.approx(1 - 1 / 1.4)
    assert found.hottest_c == pytest.approx(69.95)
    assert len(found.curve) == 120
    assert [found.curve[place].median_ms for place in (0, -1)] == [pytest.approx(10.0), pytest.approx(14.0)]


def test_the_heat_of_a_throttled_device_is_told_and_does_not_condemn_its_row() -> None:
    hot = Telemetry.of({"thermal_status": 3})
    row = row_of(curve(slowing(200, 400)), telemetry_before=hot, telemetry_after=hot)
    assert row.verdict is Verdict.VALID
    assert "thermal status was 3" in found_of(row).why


def test_other_work_at_the_end_is_no_throttling() -> None:
    ends = [0] * 300 + [30] * 300
    burdened = curve(
        [10.0] * 600, undisturbed=[100 - lost for lost in ends], lost_ns=[lost * S // 100 for lost in ends]
    )
    row = row_of(burdened)
    assert row.verdict is Verdict.CONTENDED
    assert "waited for a core 30% of the time at the end, 0% at first: stop what else runs" in row.reason
    assert (found_of(row).throttled_after_s, found_of(row).loss_share) == (None, 0.0)
    assert row.lost_share == pytest.approx(0.3)


def test_slower_among_others_is_not_told_from_throttled() -> None:
    shared = curve(slowing(300, 300), undisturbed=70, lost_ns=3 * S // 10)
    assert row_of(shared).verdict is Verdict.CONTENDED
    assert row_of(curve([10.0] * 600, undisturbed=70, lost_ns=3 * S // 10)).verdict is Verdict.VALID


def test_spans_without_enough_undisturbed_inferences_do_not_count() -> None:
    kept = [100] * 450 + [10, 100] * 75
    slow = [10.0] * 450 + [90.0, 10.0] * 75
    found = found_of(row_of(curve(slow, undisturbed=kept)))
    assert (found.throttled_after_s, found.loss_share) == (None, 0.0)
    row = row_of(curve(slow, undisturbed=[100] * 450 + [10] * 150))
    assert row.verdict is Verdict.CONTENDED
    assert "in 120 of 120 spans at the end too few inferences had a core" in row.reason


def test_a_quota_that_was_used_up_is_named() -> None:
    begin = Telemetry.of({"quota_throttled_us": 0, "monotonic_ns": 0, "cpu_quota": 1.5})
    after = Telemetry.of({"quota_throttled_us": 100_000_000, "monotonic_ns": 600 * S, "cpu_quota": 0.6})
    lost = curve([10.0] * 600, lost_ns=[0] * 300 + [4 * S // 10] * 300)
    row = row_of(lost, telemetry_before=begin, telemetry_timed=begin, telemetry_after=after)
    assert row.verdict is Verdict.CONTENDED
    assert "used up its CPU quota of 0.6 CPUs, 1.5 before" in row.reason


def test_without_marks_slow_beside_other_work_is_contended() -> None:
    busy = {"busy_ticks": 50_000, "idle_ticks": 50_000, "steal_ticks": 0, "own_ticks": 10_000}
    readings = {"telemetry_before": Telemetry.of(dict.fromkeys(busy, 0)), "telemetry_after": Telemetry.of(busy)}
    unmarked = curve(slowing(200, 400), undisturbed=None, lost_ns=None).model_copy(update={"marked_by": "unknown"})
    assert row_of(unmarked).verdict is Verdict.VALID
    row = row_of(unmarked, **readings)
    assert row.verdict is Verdict.CONTENDED
    assert "nothing tells whether by heat: in 1 of 1 restarts other processes took 40%" in row.reason


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (curve(slowing(30, 30), "96 °C"), Verdict.THROTTLED, "ended after 60 s: 96 °C; it cannot keep this up"),
        (curve([10.0] * 50, inferences=1, undisturbed=1), Verdict.UNSTABLE, "10 inferences in the first or the last"),
        (curve([10.0] * 540 + [12.0] * 60), Verdict.UNSTABLE, "halves of the last fifth differ by more than 5%"),
    ],
)
def test_a_curve_that_tells_no_sustained_latency(found: Curve, verdict: Verdict, words: str) -> None:
    judgment = judge_restart(restart(found), CASE, PROFILE)
    assert judgment.verdict is verdict
    assert words in judgment.reason


def test_more_time_than_the_restart_took_is_not_believed() -> None:
    judgment = judge_restart(restart(curve([10.0] * 600), wall_ns=500 * S), CASE, PROFILE)
    assert (judgment.verdict, judgment.cause) == (Verdict.FAILED, "implausible")


def test_a_fixed_piece_of_work_that_became_slower() -> None:
    found = curve(slowing(200, 400), probe_ns=[1000] * 200 + [1500] * 400)
    assert row_of(found).verdict is Verdict.VALID
    virtual = {"telemetry_before": Telemetry(), "telemetry_after": Telemetry.of({"virtual": True})}
    row = row_of(found, **virtual)
    assert row.verdict is Verdict.CONTENDED
    assert "other virtual machines" in row.reason
    seldom = curve(slowing(200, 400), probe_ns=[1000, 1000, 1500] * 200)
    assert row_of(seldom, **virtual).median_ms == pytest.approx(14.0)


@given(latencies)
def test_both_ends_of_any_curve_have_a_part(medians: list[float]) -> None:
    found = curve(medians)
    early, late = sustained.parts(found)
    assert early[0] is found.points[0]
    assert late[-1] is found.points[-1]
    assert len(early) <= max(1, len(medians) / 5)
    assert len(late) <= len(medians) / 5 + 1
    assert len(sustained.moments(found)) <= 120
    row = sustained.of_row(restart(found), None, 0)
    assert row is not None
    low, high = row.peak_ci95_ms
    assert low <= row.peak_ms <= high
    assert row.loss_share < 1


@given(latencies, st.floats(0.1, 10))
def test_when_throttling_began_does_not_hang_on_the_unit(values: list[float], factor: float) -> None:
    ends, peak = np.arange(1, len(values) + 1), values[0]
    scaled = [factor * value for value in values]
    smooth = sustained.running_median(values) / (sustained.SLOWER * peak)
    if np.min(np.abs(smooth - 1)) > 1e-9:
        assert sustained.throttled_after(ends, values, peak) == sustained.throttled_after(ends, scaled, factor * peak)


@given(latencies)
def test_from_then_on_all_is_slower_and_what_came_before_was_not(values: list[float]) -> None:
    ends, smooth, limit = np.arange(1, len(values) + 1), sustained.running_median(values), 1.1 * values[0]
    after = sustained.throttled_after(ends, values, values[0])
    if after is None:
        assert min(smooth[-math.ceil(smooth.size / 20) :]) <= limit
    else:
        assert min(smooth[int(after) :]) > limit
        assert not after or smooth[int(after) - 1] <= limit


@given(st.integers(80, 400), st.integers(100, 400), st.floats(1.2, 3), st.integers(0, 799))
def test_a_step_is_found_where_it_is_whatever_one_span_was_like(
    before: int, after: int, factor: float, odd: int
) -> None:
    values = np.array(slowing(before, after, factor))
    values[odd % values.size] *= 5 if odd % 2 else 0.2
    found = sustained.throttled_after(np.arange(1, values.size + 1), values, 10.0)
    assert found is not None
    assert abs(found - before) <= 1


def test_one_slow_span_at_the_end_is_no_throttling() -> None:
    found = found_of(row_of(curve([10.0] * 599 + [30.0])))
    assert found.throttled_after_s is None
    assert found_of(row_of(curve([10.0] * 560 + [30.0] * 40))).throttled_after_s == 560


@pytest.mark.parametrize(
    "changes",
    [
        {"until_ns": [2 * S, S]},
        {"until_ns": [S, S]},
        {"until_ns": [0, S]},
        {"undisturbed": 101},
        {"inferences": 0},
        {"median_ns": -1},
    ],
)
def test_a_curve_that_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        curve([1.0, 1.0], **changes)


@pytest.mark.parametrize("said", ["hot", True, float("nan"), 1e9, -300, None])
def test_a_temperature_that_makes_no_sense_is_unknown(said: object) -> None:
    (point,) = curve([1.0], temperature_c=said).points
    assert point.temperature_c is None


def test_who_changes_places_between_the_first_minute_and_the_end() -> None:
    cool, hot = make_sustained("cool", 70, 11, 11), make_sustained("hot", 69, 10, 14)
    best = make_sustained("best", 80, 20, 21)
    leaves = sustained.changes([best, hot, cool])
    assert [(change.row, change.comes, change.by) for change in leaves] == [(1, False, 2)]
    late = make_sustained("late", 71, 12, 12)
    swapped = sustained.changes([late, make_sustained("first", 72, 11, 15)])
    assert [(change.row, change.comes, change.by) for change in swapped] == [(0, True, 1)]
    assert sustained.changes([best, cool, make_row("plain")]) == []
    failed = hot.model_copy(update={"verdict": Verdict.THROTTLED, "reason": "hot"})
    assert sustained.changes([best, failed, cool]) == []


def test_a_span_of_no_time_is_not_believed() -> None:
    judgment = judge_restart(restart(curve([10.0] * 599 + [0.0], observed_ns=10 * MS)), CASE, PROFILE)
    assert (judgment.verdict, judgment.cause) == (Verdict.FAILED, "implausible")
