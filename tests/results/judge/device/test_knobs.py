"""Each knob of a device: whether it is there, how it stands, what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.device.knobs import KNOBS, Knob, Told
from results.records import Means, Telemetry

TELEMETRY = {
    "governor": ["performance"],
    "frequency_khz": [1.5e6],
    "frequency_least_khz": [6e5],
    "frequency_limit_khz": [1.5e6],
    "frequency_most_khz": [1.5e6],
    "boost": False,
    "smt": False,
    "virtual": False,
    "temperature_c": {"cpu": 45.0},
    "cooling": {"cpu-fan": 0.5},
    "power_source": ["mains"],
    "throttle_bits": 0,
    "load_1min": 0.1,
}
MEANS = {"marked_by": "schedstat", "real_time": True, "cores": 4, "cpuset": "/", "is_android": False}


def stand(telemetry: dict[str, Any], means: dict[str, Any] | None = None, **told: Any) -> dict[str, Knob]:
    given = Told(telemetry=Telemetry.of(telemetry), means=Means.of(means or {}), cpus=4, **told)
    return {found.name: found for found in (knob(given) for knob in KNOBS)}


def test_nothing_is_to_be_done_where_all_is_well() -> None:
    found = stand(TELEMETRY, MEANS, others=0.01, stolen=0.0)
    assert len(found) == len(KNOBS)
    assert {name: knob.todo for name, knob in found.items() if knob.todo} == {}
    assert found["cooling"].now == "45 °C, cpu-fan at 50%"
    assert found["cpusets"].now == "4 of 4 cores"
    assert not found["CPU quota"].available
    assert not found["sustained mode"].available


@pytest.mark.parametrize(
    ("name", "telemetry", "means", "told", "now", "todo"),
    [
        ("governor", {"governor": ["ondemand"]}, {}, {}, "ondemand", "cpupower frequency-set -g performance"),
        ("governor", {"governor": ["ondemand"]}, {}, {"fixed_clocks": "only root"}, "ondemand", None),
        ("governor", {"governor": ["ondemand"], "power_mode": "25W"}, {}, {"asked": "25W"}, "nvpmodel 25W", None),
        ("frequency", {"frequency_limit_khz": [1e6]}, {}, {}, "1.5 GHz", "frequency-set -u 1.5GHz"),
        ("boost", {"boost": True}, {}, {}, "on", "switch boost off"),
        ("SMT", {"smt": True}, {}, {}, "on", "smt/control"),
        ("background load", {}, {}, {"others": 0.4}, "40%", "end them"),
        ("cooling", {"thermal_status": 3}, {}, {}, "45 °C", "thermal status was 3"),
        ("power supply", {"throttle_bits": 1}, {}, {}, "mains", "under-voltage"),
        ("power supply", {"throttle_bits": 1 << 16}, {}, {}, "mains", "has told of under-voltage since its start"),
        ("power supply", {"power_source": ["battery"]}, {"low_power": True}, {}, "battery", "plug it in"),
        ("USB power", {"power_source": ["usb"]}, {}, {}, "the only source", "powered hub"),
        ("USB power", {"power_source": ["mains", "usb"]}, {}, {}, "not the only", None),
        ("sustained mode", {}, {"is_android": True}, {}, "cannot be read", "set-fixed-performance-mode-enabled true"),
        ("cpusets", {}, {"cores": 2, "cpuset": "/background"}, {}, "2 of 4 cores in /background", "part of the cores"),
        ("real-time", {}, {"real_time": False, "refused": "not allowed (x)"}, {}, "not allowed (x)", "rtprio 1"),
        ("real-time", {}, {"real_time": False, "is_android": True}, {}, "not allowed", None),
        ("marks", {}, {"marked_by": "switches"}, {}, "switches", "task_delayacct"),
        ("marks", {}, {"marked_by": ""}, {}, "none", "nothing tells"),
        ("virtual machine", {"virtual": True}, {}, {"stolen": 0.031}, "took 3.1%", "dedicated cores"),
        ("CPU quota", {"cpu_quota": 1.5}, {}, {}, "1.5 CPUs", "cpu.max"),
    ],
)
def test_what_to_do(
    name: str, telemetry: dict[str, Any], means: dict[str, Any], told: dict[str, Any], now: str, todo: str | None
) -> None:
    found = stand({**TELEMETRY, **telemetry}, {**MEANS, **means}, **told)[name]
    assert now in found.now
    assert any(todo in sentence for sentence in found.todo) if todo else not found.todo


def test_of_what_is_not_told_nothing_is_said_but_that() -> None:
    found = stand({})
    assert {name for name, knob in found.items() if knob.available} == set()
    assert {name for name, knob in found.items() if knob.todo} == {"marks"}


NONSENSE = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=80), st.lists(st.floats(), max_size=3))


@given(st.fixed_dictionaries(dict.fromkeys((*Telemetry.model_fields, *Means.model_fields), NONSENSE)))
def test_a_device_may_say_anything(said: dict[str, Any]) -> None:
    for knob in stand(said, said).values():
        assert all(len(text) < 2000 for text in (knob.now, *knob.todo))
