"""What two readings of a device's state betray."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.device import telemetry
from results.judge.summary import rows
from results.judge.validity import judge_restart
from results.records import Telemetry
from tests.results.factory import STANDARD, make_case, make_document, make_restart

CASE = make_case()
SECOND_NS = 10**9
QUIET = {
    "wall_ns": 5 * SECOND_NS,
    "monotonic_ns": SECOND_NS,
    "busy_ticks": 1000,
    "idle_ticks": 1000,
    "steal_ticks": 10,
    "own_ticks": 5.0,
    "pressure_us": 100,
    "quota_throttled_us": 50,
    "cpu_quota": 1.5,
    "hot_ms": 70,
    "throttle_bits": 0x50000,
    "thermal_status": 1,
    "cooling": {"cpu-fan": 1.0, "cpufreq-cpu0": 0.0},
    "governor": ["performance"],
    "frequency_khz": [1500000, 1500000],
    "frequency_limit_khz": [1500000, 1500000],
    "firmware_khz": 1499000,
}
# one second later, in which this process had one of two cores
LATER = {**QUIET, "wall_ns": 6 * SECOND_NS, "monotonic_ns": 2 * SECOND_NS, "busy_ticks": 1100, "idle_ticks": 1100}
LATER["own_ticks"] = 103.0
IDLING = {"governor": ["schedutil"]}
FIXED = {"frequency_least_khz": [1500000, 1500000]}  # as jetson_clocks leaves it


def restart(before: dict[str, Any], after: dict[str, Any], **changes: Any) -> Any:
    return make_restart(CASE, 1, telemetry_before=Telemetry.of(before), telemetry_after=Telemetry.of(after), **changes)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {}, None),
        ({}, {"throttle_bits": 0x50001}, "under-voltage: use a stronger power supply and a shorter cable$"),
        ({}, {"throttle_bits": 0x70000}, "a capped frequency: let it cool down"),  # it has happened since
        ({"throttle_bits": 0x50004}, {}, "throttling: "),
        ({}, {"throttle_bits": 0xF000F}, "under-voltage and a capped frequency and throttling and .*supply.*; let it"),
        ({"throttle_bits": None}, {"throttle_bits": 0xF}, None),
        ({}, {"thermal_status": 2}, r"thermal status was 2 \(2 is moderate"),
        ({"thermal_status": 5}, {}, "thermal status was 5"),
        ({}, {"hot_ms": 89}, None),
        ({}, {"hot_ms": 170}, "too hot for 100 ms of 1 s"),
        ({}, {"cooling": {"cpufreq-cpu0": 0.2, "Processor": 0.1, "cpu-fan": 1.0}}, r"\(Processor, cpufreq-cpu0\)"),
        ({}, {"frequency_limit_khz": [1500000, 1000000]}, "limit on its frequency fell from 1.5 GHz to 1 GHz"),
        ({}, {"frequency_limit_khz": [1000000]}, None),  # another number of cores
        ({}, {"frequency_limit_khz": [None, 1500000]}, None),
        ({"frequency_limit_khz": [600000, 600000]}, {}, None),  # more than before
        ({}, {"frequency_khz": [1000000, 1400000]}, None),
        ({}, {"frequency_khz": [1000000, 1340000]}, "its frequency fell from 1.5 GHz to 1.34 GHz"),
        ({"boost": False, "virtual": False}, {"boost": False, "virtual": False, "frequency_khz": [1e6]}, "fell from"),
        ({"boost": True}, {"boost": True, "frequency_khz": [1000000]}, None),
        ({"virtual": False}, {"virtual": False, "frequency_khz": [1000000]}, None),
        (IDLING, {**IDLING, "frequency_khz": [600000], "firmware_khz": 600000}, None),
        ({**IDLING, **FIXED}, {**IDLING, **FIXED, "frequency_khz": [600000]}, "its frequency fell"),
        ({}, {"governor": ["performance", "schedutil"], "frequency_khz": [600000], "firmware_khz": 6e5}, None),
        ({}, {"firmware_khz": 600117}, "its firmware runs the cores at 0.6 GHz, not at 1.5 GHz"),
        ({}, {"quota_throttled_us": 20_000}, None),
        ({}, {"quota_throttled_us": 400_050}, r"quota of 1.5 CPUs, and waited 0.4 s in 1 s: give it more"),
        ({}, {"quota_throttled_us": 400_050, "cpu_quota": 0.6}, r"quota of 0.6 CPUs, 1.5 before, and waited"),
        ({}, {"quota_throttled_us": 400_050, "cpu_quota": None}, r"its CPU quota, and waited"),
        ({}, {"quota_throttled_us": 0}, None),  # another group
        ({}, {"quota_throttled_us": 400_050, "monotonic_ns": None}, None),
        ({}, {"quota_throttled_us": 400_050, "monotonic_ns": 0}, None),
    ],
)
def test_what_slows_a_device_down_makes_a_restart_throttled(
    before: dict[str, Any], after: dict[str, Any], words: str | None
) -> None:
    one = restart({**QUIET, **before}, {**LATER, **after})
    judgment = judge_restart(one, CASE, STANDARD)
    assert (judgment.verdict == "throttled", judgment.has_numbers) == (words is not None, True)
    if words is not None:
        assert re.search(words, judgment.reason), judgment.reason
        (row,) = rows(make_document([CASE], [make_restart(CASE), one]))
        assert (row.verdict, row.n_restarts) == ("throttled", 2)
        assert row.reason.startswith(judgment.reason)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({}, None),
        ({"busy_ticks": 1150}, "other processes took 21% of its CPUs' time: end them"),
        ({"steal_ticks": 20}, "the hypervisor took 5% of"),
        ({"steal_ticks": 5}, None),
        ({"own_ticks": None, "busy_ticks": 10**6}, None),
        ({"wall_ns": 3606 * SECOND_NS}, r"clock jumped by \+3.6e\+03 s: it was set, or the device slept"),
        ({"wall_ns": 0}, "clock jumped by -6 s"),
        ({"wall_ns": 6_900_000_000}, None),
    ],
)
def test_what_else_was_at_work_is_told(after: dict[str, Any], words: str | None) -> None:
    one = restart(QUIET, {**LATER, **after})
    found = telemetry.disturbances([make_restart(CASE), one])
    assert len(found) == (0 if words is None else 1)
    assert words is None or re.search(f"^in 1 of 2 restarts .*{words}", found[0]), found
    assert judge_restart(one, CASE, STANDARD).verdict == "valid"
    (row,) = rows(make_document([CASE], [make_restart(CASE, median_ms=1.0), one]))  # a wide spread: here is why
    assert (row.verdict, "; ".join(["", *found]) in row.reason) == ("unstable", True)


def test_what_counts_up_is_counted_over_the_timed_inferences() -> None:
    """A runtime that compiles with all cores may use a quota up that suffices for its inferences."""
    load = {**LATER, "quota_throttled_us": 400_050}
    after = {**load, "monotonic_ns": 4 * SECOND_NS, "wall_ns": 8 * SECOND_NS, "busy_ticks": 1300, "idle_ticks": 1300}
    told = {name: load[name] for name in ("monotonic_ns", "quota_throttled_us", "busy_ticks", "idle_ticks")}
    one = restart(QUIET, after, telemetry_timed=Telemetry.of(told))
    assert telemetry.throttling(one) == []
    assert telemetry.throttling(restart(QUIET, after)) != []
    assert telemetry.pressure_share(Telemetry.of(QUIET), Telemetry.of({**LATER, "pressure_us": 500_100})) == 0.5


readings = st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | st.sampled_from([value, 0, "unknown", [], {}]) | st.floats() | st.integers(0, 2**64)
        for name, value in QUIET.items()
    },
)


@given(readings, readings, st.none() | readings)
def test_whatever_a_device_says_can_be_judged(before: Any, after: Any, timed: Any) -> None:
    one = restart(before, after, telemetry_timed=None if timed is None else Telemetry.of(timed))
    assert all(isinstance(words, str) for words in telemetry.throttling(one) + telemetry.disturbances([one]))
    for span in (telemetry.whole(one), telemetry.timed(one)):
        assert span is not None
        shares = telemetry.cpu_shares(*span)
        assert shares is None or all(0 <= share <= 1 for share in shares)


def test_without_readings_nothing_is_said() -> None:
    one = make_restart(CASE)
    assert (telemetry.throttling(one), telemetry.disturbances([one])) == ([], [])
