"""One restart by itself: what is believed, what is made again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.summary import rows
from results.judge.validity import believed, judge_restart
from results.records import Restart, Telemetry, Verdict
from tests.results.factory import STANDARD, make_case, make_document, make_lost, make_restart

CASE = make_case()
DAY_NS = 86_400 * 10**9


def judged(**changes: Any) -> tuple[str, str | None, bool, bool]:
    judgment = judge_restart(make_restart(CASE, **changes), CASE, STANDARD)
    assert (judgment.reason == "") == (judgment.verdict is Verdict.VALID)
    return judgment.verdict.value, judgment.cause, judgment.has_numbers, judgment.is_repeated


@pytest.mark.parametrize(
    ("changes", "verdict", "cause"),
    [
        ({}, "valid", None),
        ({"warmup_stable": False}, "valid", None),  # the majority of restarts decides
        ({"samples_ns": ()}, "failed", "implausible"),
        ({"samples_ns": (DAY_NS,), "wall_ns": 2 * 10**9}, "failed", "implausible"),
        ({"warmup_ns": (DAY_NS,)}, "failed", "implausible"),
        ({"first_ns": DAY_NS}, "failed", "implausible"),
        ({"samples_ns": (7,)}, "failed", "implausible"),
        ({"samples_ns": (10**6,) * 99 + (19,)}, "failed", "implausible"),
        ({"load_ns": DAY_NS}, "failed", "implausible"),
        ({"samples_ns": (10**9,) * 40}, "valid", None),  # slow: its time was over
        ({"samples_ns": (10**9,) * 14}, "failed", "implausible"),
        ({"samples_ns": (7,), "actual": {"aggregates": "one number for many"}}, "valid", None),
        ({"max_abs_diff": 1e308, "tolerance": 1e-3}, "failed", "wrong-output"),
        ({"max_abs_diff": -1.0, "tolerance": 1e-3}, "failed", "wrong-output"),
        ({"max_abs_diff": 1e-3, "tolerance": 1e-3}, "valid", None),
        ({"max_abs_diff": 1.0}, "valid", None),
    ],
)
def test_what_a_device_claims_is_held_against_what_can_be(
    changes: dict[str, Any], verdict: str, cause: str | None
) -> None:
    assert judged(**changes) == (verdict, cause, verdict == "valid", verdict == "failed")


@pytest.mark.parametrize(("outcome", "repeated"), [("failed", True), ("unsupported", False), ("offline", False)])
def test_what_brought_nothing_keeps_its_reason(outcome: str, repeated: bool) -> None:
    judgment = judge_restart(make_lost(CASE, outcome=outcome, reason="why"), CASE, STANDARD)
    assert (judgment.verdict.value, judgment.reason) == (outcome, "why")
    assert (judgment.has_numbers, judgment.is_repeated) == (False, repeated)


def test_another_mode_has_numbers_and_is_not_made_again() -> None:
    case = CASE.model_copy(update={"power_mode": "performance"})
    for governors, verdict in ((["performance"], "valid"), (["ondemand"], "not-comparable")):
        restart = make_restart(case, telemetry_after=Telemetry.of({"governor": governors}))
        judgment = judge_restart(restart, case, STANDARD)
        assert (judgment.verdict.value, judgment.has_numbers, judgment.is_repeated) == (verdict, True, False)


restarts = st.builds(
    lambda **fields: Restart(case_id=CASE.case_id, round=0, started_at="", **fields),
    wall_ns=st.integers(0, 10**12),
    outcome=st.sampled_from(["ok", "unsupported", "failed", "offline"]),
    samples_ns=st.lists(st.integers(0, DAY_NS), max_size=80).map(tuple),
    warmup_ns=st.lists(st.integers(0, DAY_NS), max_size=3).map(tuple),
    max_abs_diff=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tolerance=st.none() | st.floats(min_value=0, max_value=1e3),
)


@given(restarts)
def test_what_is_not_believed_is_failed_and_what_is_believed_stays(restart: Restart) -> None:
    now = believed(restart, CASE, STANDARD)
    judgment = judge_restart(now, CASE, STANDARD)
    assert (now.outcome == "ok") == judgment.has_numbers
    assert now.samples_ns == restart.samples_ns
    assert now == restart or (restart.outcome, now.outcome) == ("ok", "failed")
    assert believed(now, CASE, STANDARD) == now
    (row,) = rows(make_document([CASE], [restart]))
    assert (row.n_restarts == 1) == judgment.has_numbers
