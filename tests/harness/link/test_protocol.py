"""Whatever a device says ends in events or in a failure in words, never in an exception or a hang."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import AgentError
from harness.jobs import conversation
from harness.jobs.base import Failure
from harness.jobs.latency import Done, Latency, Target
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import Rule
from harness.transports.simulated import SimulatedTransport
from results.records import Case, Profile

HELLO = {
    "event": "hello",
    "protocol": 2,
    "agent_version": "2",
    "agent_sha256": "",
    "python": "3.11",
    "machine": "x86_64",
}
IMPORTED = {"event": "imported", "backend_version": "fake 1", "import_ns": 5}
GOOD: list[dict[str, Any]] = [
    HELLO,
    IMPORTED,
    {"event": "loaded", "load_ns": 7, "actual": {"threads": 1}},
    {"event": "first", "first_ns": 9},
    {"event": "verified", "outputs": [{"off": 0.0, "rms": 0.0, "snr_db": 200.0, "top1_agreement": 1.0}]},
    {"event": "warmup", "ns": [3, 2], "stable": True},
    {"event": "samples", "ns": [2, 2, 2]},
    {"event": "done", "peak_rss_bytes": 1000, "telemetry_before": {}, "telemetry_after": {}},
]


CASE = Case(
    case_id="0" * 16,
    device="box",
    model="tiny",
    backend="fake",
    precision="fp32",
    threads=1,
    artifact_sha256="0" * 64,
    artifact_format="onnx",
)
PROFILE = Profile(
    name="none",
    restarts=1,
    min_iterations=1,
    min_seconds=0,
    max_seconds=1e-9,
    warmup_min_iterations=1,
    warmup_min_seconds=0,
    warmup_max_seconds=1e-9,
)
RULES = (Rule("y", "float", 2e-3),)
MODEL = ModelOnDevice(PurePosixPath("model"), "0" * 64, PurePosixPath("io"), "0" * 64, ())
JOB = Latency(Target(CASE, MODEL, RULES), PROFILE)


def read(lines: Sequence[bytes | None]) -> list[Any]:
    def handler(_command: Sequence[str], _stdin: bytes) -> Iterator[bytes | None]:
        yield from lines

    return list(conversation.listen(SimulatedTransport(handler).stream([], stdin=b""), JOB, 1.0))


def encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def test_a_whole_restart() -> None:
    events = read([encode(event) for event in GOOD])
    assert [event.event for event in events] == [event["event"] for event in GOOD]


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_silence_at_any_point_is_a_failure_that_says_where(cut: int) -> None:
    *said, last = read([*(encode(event) for event in GOOD[:cut]), None])
    assert len(said) == cut
    assert last.kind == "silent"
    assert "no answer for 1 s while" in last.message


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_an_end_at_any_point_is_a_failure(cut: int) -> None:
    last = read([encode(event) for event in GOOD[:cut]])[-1]
    assert isinstance(last, Failure)


@pytest.mark.parametrize(
    "change",
    [
        {"event": "samples", "ns": [1e308]},
        {"event": "samples", "ns": [-1]},
        {"event": "samples", "ns": [float("nan")]},
        {"event": "samples", "ns": []},
        {"event": "samples", "ns": "many"},
        {"event": "done", "peak_rss_bytes": -5, "telemetry_before": {}, "telemetry_after": {}},
        {"event": "dance"},
        {"event": "loaded", "load_ns": 1, "actual": {"x": "y" * 100_000}},
        {"event": "loaded", "load_ns": 1, "actual": {"x": [float("nan")]}},
        {},
    ],
)
def test_lies_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AgentError, match="malformed"):
        conversation.parse(encode(change), JOB.events)


def test_what_is_no_event_at_all_is_quoted() -> None:
    with pytest.raises(AgentError, match="it said 'Welcome"):
        conversation.parse(b"Welcome to Python\x1b[2J\xff" + bytes(1000), JOB.events)


def test_a_flood_of_lines_ends() -> None:
    last = read([encode(HELLO), encode(IMPORTED), *[encode(GOOD[2])] * 1000])[-1]
    assert "more than 64 lines" in last.message


@pytest.mark.parametrize("said", [GOOD[:1] * 2, GOOD[:3] + GOOD[4:], GOOD[::-1], [IMPORTED]])
def test_events_twice_or_out_of_order_are_refused(said: list[dict[str, Any]]) -> None:
    last = read([encode(event) for event in said])[-1]
    assert isinstance(last, Failure)
    assert "was due" in last.message


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_end_in_a_failure(lines: list[bytes]) -> None:
    last = read([line.replace(b"\n", b" ") for line in lines])[-1]
    assert isinstance(last, Failure | Done)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(GOOD), st.dictionaries(st.sampled_from(sorted({k for e in GOOD for k in e})), json_values))
def test_any_field_of_any_type_is_an_event_or_an_agent_error(event: dict[str, Any], changes: dict[str, Any]) -> None:
    with suppress(AgentError):
        assert conversation.parse(encode({**event, **changes}), JOB.events).event
