"""Simulated devices: named in devices.toml, measured by `bench run`, and never taken for real ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.errors import AgentError, CommandTimeout
from harness.fleet.devices import make
from harness.transports import Transport
from harness.transports.simulated import Simulated
from tests.rigs.bench import Bench

PROFILE = {"warmup_min_iterations": 5, "min_iterations": 20}
REQUEST = {"backend": "fake", "model_sha256": "a" * 64, "options": {"threads": 2}, "profile": PROFILE}
DEVICES = """
[devices.sim1]
transport = "simulated"
[devices.sim2]
transport = "simulated"
latency_ms = 4
spread = 0.0
seed = 7
"""


def connected(name: str = "sim", **fields: Any) -> Transport:
    return make(name, {"transport": "simulated", **fields}).connect()


def samples(transport: Transport, **more: Any) -> list[int]:
    line = json.dumps({"protocol": 2, "job": "latency", **REQUEST, **more}).encode()
    said = transport.run(["python3", "-I", "agent.pyz"], stdin=line, timeout_s=60).stdout.splitlines()
    (found,) = [event["ns"] for event in map(json.loads, said) if event["event"] == "samples"]
    return list(found)


def test_figures_depend_on_seed_device_case_and_repetition_alone() -> None:
    one, same = connected(), connected()
    first = samples(one)
    assert len(first) == PROFILE["min_iterations"]
    assert samples(same) == first
    assert samples(one) == samples(same) != first  # of the second restart
    assert samples(connected(seed=1)) != first
    assert samples(connected("other")) != first
    assert samples(connected(), model_sha256="b" * 64) != first
    exact = samples(connected(latency_ms=2, spread=0))
    assert exact == [2_000_000] * len(exact)


def test_a_job_that_it_cannot_do_is_told() -> None:
    for said in (b"", b"[]", b'{"job": "setup"}'):
        with pytest.raises(AgentError, match="sim is simulated: all it can do is probe, latency, hold"):
            connected().run(["sh", "-c", "true"], stdin=said, timeout_s=5)


def test_it_can_be_held() -> None:
    stream = connected().stream(["python3"], stdin=b'{"protocol": 2, "job": "hold"}')
    said = [json.loads(stream.read_line(5) or b"")["event"] for _ in range(2)]
    assert said == ["hello", "held"]
    with pytest.raises(CommandTimeout):
        stream.read_line(5)


def test_a_run_over_a_fleet_says_that_nothing_ran(bench: Bench) -> None:
    bench.copy_model()
    (bench.folder / "devices.toml").write_text(DEVICES)
    done = bench("run", "--device", "sim*", "--models", "tiny.onnx", "--backends", "fake,onnxruntime", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [row["device"] for row in rows].count("sim2") == 2
    for row in rows:
        assert row["verdict"] == "valid"
        assert row["backend_version"] == "simulated"
        assert row["fallback"] == "nothing ran: this device is simulated, its latencies are made up"
        assert not row["verified"]
    assert {row["median_ms"] for row in rows if row["device"] == "sim2"} == {4.0}
    table = bench("results", "list").stdout
    assert "this device is simulated" in table
    document = bench.json("results", "show", "last")["run"]
    agents = [restart["agent"] for restart in document["restarts"]]
    assert {agent["machine"] for agent in agents} == {"simulated"}


def test_what_cannot_be_done_with_one_is_told(bench: Bench) -> None:
    (bench.folder / "devices.toml").write_text(DEVICES)
    (checked,) = bench.json("devices", "check", "sim1")["devices"]
    assert set(checked["system"].values()) == {"simulated"}
    assert "sim1 is simulated" in str(bench("devices", "clean", "sim1", expect=1).stdout)
    added = bench("devices", "add", "sim3", "--transport", "simulated", "--field", "latency_ms=2.5")
    assert "sim3 (nowhere) is added" in added.stdout
    assert bench.json("devices", "show", "sim3")["device"]["latency_ms"] == 2.5
    assert (
        "latency_ms: input should be greater than 0"
        in bench("devices", "add", "sim4", "--transport", "simulated", "--field", "latency_ms=0", expect=2).stderr
    )


def test_the_fields_have_the_documented_defaults() -> None:
    assert Simulated().model_dump() == {"latency_ms": 1.0, "spread": 0.1, "seed": 0, "restart_s": 0.0}
