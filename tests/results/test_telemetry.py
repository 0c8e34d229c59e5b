"""What is kept of what a device says of its state, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from results.records import Telemetry


@pytest.mark.parametrize(
    ("name", "said", "kept"),
    [
        ("throttle_bits", 0x50005, 0x50005),
        ("throttle_bits", -1, None),
        ("throttle_bits", 2**32, None),
        ("throttle_bits", True, None),
        ("thermal_status", 6, 6),
        ("thermal_status", 7, None),
        ("battery_percent", 100, 100.0),
        ("battery_percent", 100.5, None),
        ("boost", False, False),
        ("boost", 0, None),
        ("busy_ticks", -3, None),
        ("own_ticks", float("nan"), None),
        ("quota_throttled_us", 1e19, None),
        ("wall_ns", 1_795_945_388_003_532_330, 1_795_945_388_003_532_330),
        ("wall_ns", 1.5e18, None),
        ("monotonic_ns", 2**64, None),
        ("cooling", {"a": 0.5, "b": "unknown", "c": float("inf")}, {"a": 0.5}),
        ("energy_uj", {str(zone): zone for zone in range(10**4)}, {str(zone): float(zone) for zone in range(64)}),
        ("power_source", ["usb", "usb", 3, "x" * 300], ("usb", "x" * 64)),
        ("frequency_limit_khz", [1, None, "x"], (1.0, None, None)),
        ("frequency_limit_khz", ["x"], None),
    ],
)
def test_each_reading_is_bounded(name: str, said: Any, kept: Any) -> None:
    told = Telemetry.of({name: said})
    assert getattr(told, name) == kept
    assert Telemetry.model_validate_json(told.model_dump_json()) == told


@pytest.mark.parametrize(
    ("least", "limit", "fixed"),
    [
        ([600, 600], [1500, 1500], False),
        ([1500, 1800], [1500, 1800], True),
        ([600], [600, 600], None),
        ([None, 600], [600, 600], None),
        (None, None, None),
    ],
)
def test_clocks_are_fixed_where_the_least_is_the_limit(least: Any, limit: Any, fixed: bool | None) -> None:
    told = Telemetry.of({"frequency_least_khz": least, "frequency_limit_khz": limit})
    assert told.clocks_are_fixed is fixed
