"""What this host believes of a restart that a device says went well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import AgentError
from harness.jobs import conversation
from harness.jobs.base import Ended
from harness.jobs.outputs import Rule
from harness.transports import Completed
from results.judge.validity import believed
from results.records import Restart
from tests.harness.link.test_protocol import GOOD, JOB, RULES, encode

SECOND_NS = 10**9


def record(wall_ns: int = SECOND_NS, rules: Sequence[Rule] = RULES, **changes: dict[str, Any]) -> Restart:
    """Return what is kept of a restart whose events are changed, each by its name."""
    events = [conversation.parse(encode({**event, **changes.get(event["event"], {})}), JOB.events) for event in HONEST]
    job = replace(JOB, target=replace(JOB.target, outputs=rules))
    restart = job.record(events, Ended(Completed(0, b"", b""), "python3", wall_ns=wall_ns))
    return believed(restart, job.target.case, job.profile)


HONEST = [{**event, **({"ns": [2000, 2100]} if "ns" in event else {})} for event in GOOD]


def test_an_honest_restart_is_kept() -> None:
    kept = record()
    assert (kept.outcome, kept.cause, kept.reason) == ("ok", None, "")
    assert (kept.verified, kept.max_abs_diff, kept.tolerance) == (True, 0.0, pytest.approx(2e-3))
    assert kept.samples_ns == (2000, 2100)
    assert (kept.agent["backend_version"], kept.agent["agent_version"]) == ("fake 1", "2")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples": {"ns": [86_400 * SECOND_NS]}}, "tells of 8.64e+04 s that were timed in a restart that took 1 s"),
        ({"warmup": {"ns": [SECOND_NS, SECOND_NS]}}, "tells of 2 s that"),
        ({"loaded": {"load_ns": 3 * SECOND_NS}}, "tells of 3 s that"),
        ({"samples": {"ns": [2000, 7]}}, "an inference of 7 ns"),
        ({"samples": {"ns": [0]}}, "an inference of 0 ns"),
    ],
)
def test_numbers_that_cannot_be_true_are_no_result(changes: dict[str, Any], words: str) -> None:
    refused = record(**changes)
    assert (refused.outcome, refused.cause) == ("failed", "implausible")
    assert words in refused.reason


def told(*outputs: dict[str, Any] | None) -> dict[str, Any]:
    return {"outputs": list(outputs)}


@pytest.mark.parametrize("difference", [0.0021, 1e308])
def test_this_host_compares_the_difference_itself(difference: float) -> None:
    refused = record(verified=told({"off": difference}))
    assert (refused.outcome, refused.cause) == ("failed", "wrong-output")
    assert "allowed 0.002" in refused.reason
    assert record(verified=told({"off": 0.0019})).outcome == "ok"


def test_every_output_is_compared_by_its_own_rule() -> None:
    rules = [Rule("a", "float", 1e-3), Rule("b", "quantized", 4.0, 2.0), Rule("c", "exact")]
    good = [{"off": 1e-4, "snr_db": 60.0}, {"off": 3.0, "rms": 0.5, "snr_db": 30.0, "top1_agreement": 0.5}, {"off": 0}]
    kept = record(rules=rules, verified=told(*good))
    assert (kept.outcome, kept.verified, kept.unverified) == ("ok", True, "")
    assert (kept.max_abs_diff, kept.tolerance) == (3.0, 4.0)  # what comes closest to its limit
    assert (kept.snr_db, kept.top1_agreement) == (30.0, 0.5)
    for index, lie in ((0, {"off": 2e-3}), (1, {"off": 5.0}), (1, {"off": 3.0, "rms": 2.5}), (2, {"off": 1})):
        refused = record(rules=rules, verified=told(*[lie if at == index else one for at, one in enumerate(good)]))
        assert (refused.outcome, refused.cause) == ("failed", "wrong-output"), (index, lie)


def test_verified_is_what_was_compared_as_a_whole() -> None:
    random = Rule("noise", "unchecked", unchecked="differs from run to run on the same input")
    partly = record(rules=(*RULES, random), verified=told({"off": 0}, None))
    assert (partly.outcome, partly.verified) == ("ok", False)
    assert partly.unverified == "output noise: differs from run to run on the same input"
    unasked = record(rules=[replace(RULES[0], nonfinite_words="3 of 4 values of its reference are NaN or infinite")])
    assert (unasked.outcome, unasked.verified) == ("ok", False)
    assert "3 of 4 values" in unasked.unverified
    skipped = record(verified=told(None))
    assert (skipped.verified, skipped.unverified) == (False, "output y: the device did not compare it")
    hidden = record(verified=told())
    assert (hidden.verified, hidden.unverified) == (False, "the backend shows no output")
    assert not record(rules=(), verified=told()).verified


def test_another_number_of_outputs_is_not_believed() -> None:
    refused = record(verified=told({"off": 0}, {"off": 0}))
    assert (refused.outcome, refused.cause, refused.verified) == ("failed", "implausible", False)


@pytest.mark.parametrize("difference", [math.inf, math.nan, -1.0])
def test_a_difference_is_a_finite_number(difference: float) -> None:
    with pytest.raises(AgentError, match="malformed"):
        record(verified=told({"off": difference}))
