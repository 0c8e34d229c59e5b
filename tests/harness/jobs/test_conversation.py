"""A forged agent, or one that is not the agent that was pushed: bounded in time, size and depth, and told in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import AgentError, DeviceBusy
from harness.jobs import conversation
from harness.jobs.base import Failure, Job
from harness.jobs.hold import Hold
from harness.link.agent import AgentOnDevice
from harness.link.device_lock import DeviceLock
from harness.transports.simulated import SimulatedTransport
from tests.harness.link.test_protocol import GOOD, HELLO, JOB, encode

BUSY = {"event": "busy", "owner": "somebody", "held_s": 1.0, "over": False}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed for whoever listens."""
    now = [0.0]
    monkeypatch.setattr(conversation, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def agent(clock: list[float], first: list[dict[str, Any]], again: dict[str, Any], each_s: float) -> AgentOnDevice:
    """An agent that says one thing for ever, each time after a while."""

    def handler(_command: Sequence[str], _stdin: bytes) -> Iterator[bytes | None]:
        yield from map(encode, first)
        while True:
            clock[0] += each_s
            yield encode(again)

    return AgentOnDevice(SimulatedTransport(handler), ["python3"], "", patience_s=10.0)


def test_lines_that_each_come_just_in_time_have_one_bound_together(clock: list[float]) -> None:
    talk = agent(clock, GOOD[:2], GOOD[2], each_s=9.0).talk(JOB)
    last = talk.events[-1]
    assert isinstance(last, Failure)
    assert (last.kind, last.message) == ("silent", "it took longer than all may take while the first inference")
    assert clock[0] <= JOB.total_s(10.0) + 9.0


def test_a_device_that_is_busy_for_ever_is_given_up_and_told_once(clock: list[float]) -> None:
    said: list[str] = []
    lock = DeviceLock(agent(clock, [HELLO], BUSY, each_s=1.0), PurePosixPath("lock"), "a run", "token", 20.0)
    with pytest.raises(DeviceBusy, match=r"in use by somebody since .*; gave up after 3 s"):
        lock.acquire("box", 3.0, said.append)
    assert len(said) == 1
    assert clock[0] <= 30.0


def test_a_device_that_floods_with_busy_is_given_up(clock: list[float]) -> None:
    said: list[str] = []
    lock = DeviceLock(agent(clock, [HELLO], BUSY, each_s=0.0), PurePosixPath("lock"), "a run", "token", 20.0)
    with pytest.raises(AgentError, match="said more than 64 lines"):
        lock.acquire("box", 3.0, said.append)
    assert len(said) == 1


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(depth):
        tree = {"x": tree}
    return tree


@pytest.mark.parametrize(
    "lie",
    [
        {**HELLO, "protocol": 99},
        {**HELLO, "protocol": 1},
        {"event": "loaded", "load_ns": 1, "actual": nested(199)},
        {"event": "loaded", "load_ns": 1, "actual": nested(40)},
        {"event": "loaded", "load_ns": 1, "actual": {"x": [[[[]]] * 9, nested(33)]}},
        {**GOOD[-1], "actual": nested(40)},
        {"event": "verified"},
        {"event": "verified", "outputs": [{"off": -1}]},
        {"event": "verified", "outputs": [{"off": 0, "snr_db": 201}]},
        {"event": "verified", "outputs": [{"off": 0, "top1_agreement": 1.01}]},
        {"event": "verified", "outputs": [None] * 4097},
        {"event": "error", "phase": "load", "kind": "mine", "message": ""},
    ],
)
def test_more_lies_are_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(AgentError, match="malformed"):
        conversation.parse(encode(lie), JOB.events)


def test_what_is_nested_deeper_than_a_parser_goes_is_refused() -> None:
    line = b'{"event":"loaded","load_ns":1,"actual":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001
    with pytest.raises(AgentError, match="malformed"):
        conversation.parse(line, JOB.events)


def listen(lines: list[bytes | None], sha256: str | None) -> list[Any]:
    transport = SimulatedTransport(lambda _command, _stdin: iter(lines))
    return list(conversation.listen(transport.stream([], stdin=b""), JOB, 1.0, sha256))


def test_another_agent_than_the_one_that_was_pushed_is_not_listened_to() -> None:
    (only,) = listen([encode({**HELLO, "agent_sha256": "b" * 64}), *map(encode, GOOD[1:])], "a" * 64)
    assert (only.kind, conversation.is_greeted([only])) == ("malformed", False)
    assert "not the one that was pushed" in only.message


@pytest.mark.parametrize(
    ("lines", "greeted"),
    [([], False), ([b"Python 2.7"], False), ([encode(HELLO)], True), ([None], True), ([encode(HELLO), b"x"], True)],
)
def test_an_agent_that_never_started_is_told_from_one_that_failed(lines: list[bytes | None], greeted: bool) -> None:
    assert conversation.is_greeted(listen(lines, "")) is greeted


def test_more_bytes_than_any_job_needs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "max_bytes", 1000)
    *_, last = listen([encode(HELLO), encode(GOOD[1]), *[encode({**GOOD[2], "pad": "x" * 400})] * 9], None)
    assert last.kind == "malformed"
    assert "MiB" in last.message


def test_a_hold_ends_where_its_grammar_does() -> None:
    job = Hold(PurePosixPath("lock"), "me", "token", wait_s=5.0, lease_s=9.0)
    assert job.total_s(1.0) == 7.0
    transport = SimulatedTransport(
        lambda _command, _stdin: iter([encode(HELLO), encode({"event": "held"}), encode(BUSY)])
    )
    assert [event.event for event in conversation.listen(transport.stream([], stdin=b""), job, 1.0)] == [
        "hello",
        "held",
    ]
