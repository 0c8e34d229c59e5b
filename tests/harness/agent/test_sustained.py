"""Minutes without a pause, in less than a second: the curve of the agent on this machine and on a fake device."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.agent import sustained
from results.records import Curve

PROFILE = {"span_seconds": 0.02, "max_seconds": 0.4}


def board(root: Path, celsius: float, khz: int = 1_500_000) -> Path:
    """Write the files by which a board tells how warm and how fast it is; return the one of its sensor."""
    for path, content in {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": str(int(1000 * celsius)),
        "sys/class/thermal/thermal_zone1/type": "switched-off",
        "sys/class/thermal/thermal_zone1/temp": "0",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": str(khz),
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": str(khz // 2),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root / "sys/class/thermal/thermal_zone0/temp"


def measured(run: Any, **options: Any) -> Curve:
    return Curve.model_validate(sustained.curve(run, PROFILE, **options)["curve"])


def test_a_curve_of_what_becomes_slower() -> None:
    begun = time.monotonic()
    found = measured(lambda: time.sleep(0.002 if time.monotonic() < begun + 0.2 else 0.006))
    assert found.ended == ""
    assert found.points[-1].until_ns >= 0.4e9
    assert 2 < len(found.points) <= 21
    first, last = found.points[0].observed_ns, found.points[-1].observed_ns
    assert first >= 2_000_000
    assert last >= 6_000_000
    if found.marked_by == "schedstat":
        assert all(point.lost_ns is not None and point.undisturbed is not None for point in found.points)


def test_an_inference_longer_than_a_span_is_a_span() -> None:
    found = measured(lambda: time.sleep(0.15))
    assert [point.inferences for point in found.points] == [1] * len(found.points)
    assert 1 < len(found.points) <= 3


def test_temperature_and_frequency_are_read_between_spans(tmp_path: Path) -> None:
    board(tmp_path, 61.5)
    found = measured(lambda: time.sleep(0.002), root=str(tmp_path))
    known = [point for point in found.points if point.temperature_c is not None]
    assert {(point.temperature_c, point.frequency_khz) for point in known} == {(61.5, 1_500_000)}
    assert found.points[0] in known


def test_a_reading_that_takes_long_is_taken_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(_root: str) -> dict[str, Any]:
        time.sleep(0.01)
        return {"temperature_c": {"skin": 40.0, "broken": "unknown"}}

    monkeypatch.setattr(sustained.telemetry, "heat", asked)
    found = measured(lambda: time.sleep(0.002))
    assert [point.temperature_c for point in found.points] == [40.0] + [None] * (len(found.points) - 1)


def test_a_device_that_gets_too_hot_is_left_alone(tmp_path: Path) -> None:
    sensor = board(tmp_path, 80)
    begun = time.monotonic()

    def run() -> None:
        time.sleep(0.002)
        if time.monotonic() > begun + 0.1:
            sensor.write_text("96000")

    found = measured(run, critical_c=95.0, root=str(tmp_path))
    assert found.ended == "96 °C, and 95 °C is critical_temperature_c"
    assert found.points[-1].temperature_c == 96
    assert found.points[-1].until_ns < 0.4e9


@pytest.mark.parametrize(("status", "words"), [(3, ""), (4, "its thermal status is 4 (4 is critical)"), ("x", "")])
def test_a_phone_that_protects_itself(monkeypatch: pytest.MonkeyPatch, status: object, words: str) -> None:
    monkeypatch.setattr(sustained.telemetry, "heat", lambda _root: {"thermal_status": status})
    assert measured(lambda: time.sleep(0.002)).ended == words
