"""The thermal gate, and what `bench devices check` advises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.agent import telemetry
from harness.errors import ConnectError
from harness.fleet.devices import Device
from harness.jobs.probe import Probe, Probed
from harness.link import thermal
from harness.link.advice import advice
from tests.rigs.bench import Bench


class Agent:
    """Answers probes with one temperature after the other."""

    def __init__(self, *temperatures: Any) -> None:
        self.temperatures = list(temperatures)

    def carry_out(self, _job: Probe) -> Probed:
        now = self.temperatures.pop(0) if len(self.temperatures) > 1 else self.temperatures[0]
        if isinstance(now, Exception):
            raise now
        zones = {"cpu": now, "off": 0.0, "broken": "unknown"} if now is not None else "unknown"
        return Probed(event="probe", system={}, backends={}, missing=[], telemetry={"temperature_c": zones})


@pytest.mark.parametrize(
    ("temperatures", "waits", "words"),
    [
        ((55.0,), 0, []),
        ((75.0, 65.0, 59.0), 2, ["box: 75 °C, waiting for 60 °C"]),
        ((None,), 0, ["box: no temperature can be read"]),
        ((ConnectError("gone"),), 0, []),
        ((90.0,), 60, ["box: 90 °C, waiting", "box: still 90 °C after 300 s"]),
    ],
)
def test_the_gate(temperatures: tuple[Any, ...], waits: int, words: list[str]) -> None:
    said: list[str] = []
    waited: list[float] = []
    device = Device(name="box", transport="local", max_temperature_c=60)
    agent: Any = Agent(*temperatures)
    useful = thermal.cool_down(device, agent, said.append, lambda seconds: waited.append(seconds) is not None)
    assert useful is (temperatures != (None,))
    assert len(waited) == waits
    assert [line.startswith(begin) for line, begin in zip(said, words, strict=True)] == [True] * len(words)


def test_a_run_that_stops_waits_no_longer() -> None:
    waited: list[float] = []
    said: list[str] = []
    device = Device(name="box", transport="local", max_temperature_c=60)
    agent: Any = Agent(90.0)
    assert thermal.cool_down(device, agent, said.append, lambda seconds: waited.append(seconds) is None)
    assert waited == [thermal.POLL_S]
    assert said == ["box: 90 °C, waiting for 60 °C"]


def test_without_a_limit_nobody_asks() -> None:
    agent: Any = Agent(AssertionError("asked"))
    said: list[str] = []
    assert not thermal.cool_down(Device(name="box", transport="local"), agent, said.append, lambda _: False)
    assert said == []


@pytest.mark.parametrize(
    ("own", "now", "limit"),
    [(60.0, 40.0, 60.0), (None, 40.0, 45.0), (None, None, None), (None, ConnectError("gone"), None)],
)
def test_minutes_without_a_pause_begin_as_cool_as_the_first(own: float | None, now: Any, limit: float | None) -> None:
    agent: Any = Agent(now)
    device = Device(name="box", transport="local", max_temperature_c=own)
    assert thermal.limited_to_now(device, agent).max_temperature_c == limit


@pytest.mark.parametrize(
    ("millidegrees", "told"), [("41000 73000", 73.0), ("73000 41000", 73.0), ("x 41000", 41.0), ("41000 nan", 41.0)]
)
def test_of_sensors_of_one_type_the_hottest_counts(tmp_path: Path, millidegrees: str, told: float) -> None:
    for number, value in enumerate(millidegrees.split()):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text("acpitz\n")
        (zone / "temp").write_text(f"{value}\n")
    assert telemetry.snapshot(str(tmp_path))["temperature_c"] == {"acpitz": pytest.approx(told)}


def test_advice() -> None:
    device = Device(name="box", transport="ssh", cores="4-7", max_temperature_c=60)
    system = {"free_bytes": 5 << 20, "cpus": 4}
    probe = Probed(
        event="probe", system=system, backends={}, missing=[], telemetry={"governor": ["ondemand", "powersave"]}
    )
    text = "\n".join(advice(device, probe))
    for words in ("only 5 MiB", "only 0-3", "ondemand, powersave", "no temperature"):
        assert words in text
    well = Probed(event="probe", system={"python": "3.11.7"}, backends={}, missing=[], telemetry={})
    assert advice(Device(name="box", transport="ssh"), well) == []


HELD = {"frequency_limit_khz": [1000000, 1800000], "frequency_most_khz": [1500000, 1800000]}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"throttle_bits": 0x50005}, ["its firmware tells of under-voltage and throttling: use a stronger power"]),
        ({"throttle_bits": 0xA0000}, ["told of a capped frequency and the soft temperature limit since its start"]),
        ({"thermal_status": 3, "cooling": {"cpufreq-cpu0": 0.5}}, ["status was 3", "to cool it (cpufreq-cpu0)"]),
        ({"cpu_quota": 1.5}, ["may use 1.5 CPUs, and rows that need more will be throttled"]),
        ({"power_source": ["battery"]}, ["it runs on its battery"]),
        ({"power_source": ["battery", "usb"]}, []),
        (HELD, ["sudo cpupower frequency-set -u 1.5GHz"]),
        ({**HELD, "power_mode": "15W"}, []),
        ({"throttle_bits": 0, "thermal_status": 1, "cooling": {"cpu-fan": 1.0}}, []),
    ],
)
def test_advice_about_what_slows_a_device_down(said: dict[str, Any], words: list[str]) -> None:
    probe = Probed(event="probe", system={}, backends={}, missing=[], telemetry=said)
    found = advice(Device(name="box", transport="ssh"), probe)
    assert len(found) == len(words), found
    for sentence, part in zip(found, words, strict=True):
        assert part in sentence
    phone = advice(Device(name="phone", transport="adb"), probe)
    assert phone == [sentence for sentence in found if "cpupower" not in sentence]


def test_a_device_that_is_checked_does_not_steer_the_terminal(bench: Bench) -> None:
    python = bench.folder / "python"
    python.write_text("#!/bin/sh\nprintf 'no\\rPython\\033]0;title\\007 here\\n' >&2\nexit 1\n")
    python.chmod(0o755)
    (bench.folder / "devices.toml").write_text(f'[devices.box]\ntransport = "local"\npython = "{python}"\n')
    said = bench("devices", "check", "box", expect=1).stdout
    assert "Python ]0;title  here" in said
    assert not {"\r", "\x1b", "\x07"} & set(said)
