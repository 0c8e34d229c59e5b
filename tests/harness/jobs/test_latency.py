"""What this host believes of a restart that a device says went well."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import AgentError
from harness.jobs import conversation
from harness.jobs.base import Ended
from harness.jobs.latency import largest_output
from harness.transports import Completed
from results.judge.validity import believed
from results.records import Restart
from tests.harness.link.test_protocol import GOOD, JOB, encode

SECOND_NS = 10**9


def record(wall_ns: int = SECOND_NS, largest: float | None = 2.0, **changes: dict[str, Any]) -> Restart:
    """Return what is kept of a restart whose events are changed, each by its name."""
    events = [conversation.parse(encode({**event, **changes.get(event["event"], {})}), JOB.events) for event in HONEST]
    job = replace(JOB, target=replace(JOB.target, largest_output=largest))
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


@pytest.mark.parametrize("difference", [0.0021, 1e308])
def test_this_host_compares_the_difference_itself(difference: float) -> None:
    refused = record(verified={"max_abs_diff": difference})
    assert (refused.outcome, refused.cause) == ("failed", "wrong-output")
    assert "allowed 0.002" in refused.reason
    assert record(verified={"max_abs_diff": 0.0019}).outcome == "ok"


def test_without_a_reference_nothing_is_verified() -> None:
    assert not record(largest=None).verified
    assert not record(verified={"max_abs_diff": None}).verified


@pytest.mark.parametrize("difference", [math.inf, math.nan, -1.0])
def test_a_difference_is_a_finite_number(difference: float) -> None:
    with pytest.raises(AgentError, match="malformed"):
        record(verified={"max_abs_diff": difference})


@pytest.mark.parametrize(
    ("outputs", "largest"),
    [
        ([np.array([1.0, -3.5, np.inf, np.nan])], 3.5),
        ([np.array([1, 9]), np.float16(2.0)], 2.0),
        ([np.array([7])], 0.0),
        ([np.zeros((0, 4), np.float32)], 0.0),
        ([], None),
    ],
)
def test_the_tolerance_is_relative_to_the_largest_output(
    tmp_path: Path, outputs: list[Any], largest: float | None
) -> None:
    path = tmp_path / "io.npz"
    np.savez(path, in0=np.array([99.0]), **{f"out{index}": array for index, array in enumerate(outputs)})
    assert largest_output(path) == largest


def test_a_reference_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert largest_output(tmp_path / "gone") is None
    (tmp_path / "damaged").write_bytes(b"PK nothing")
    assert largest_output(tmp_path / "damaged") is None
