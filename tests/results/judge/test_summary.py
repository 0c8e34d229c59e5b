from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.measurement import last_attempts
from results.judge.summary import rows
from results.records import Restart, Row, RunDocument, Telemetry, Verdict
from tests.results.factory import STANDARD, make_case, make_document, make_facts, make_lost, make_restart, make_run

CASE = make_case()


def one(restarts: list[Restart], **changes: Any) -> Row:
    (row,) = rows(make_document([CASE], restarts, **changes))
    return row


def good(count: int = 5, **changes: Any) -> list[Restart]:
    return [make_restart(CASE, number, **changes) for number in range(count)]


def test_a_good_case() -> None:
    (row,) = rows(make_document([CASE], good(), (make_facts("mobilenet_v2", 71.88),)))
    assert (row.verdict, row.reason) == (Verdict.VALID, "")
    assert row.median_ms == pytest.approx(20, rel=0.02)
    assert row.ci95_ms is not None
    assert row.ci95_ms[0] <= row.median_ms <= row.ci95_ms[1]
    assert set(row.percentiles_ms) == {"p50", "p90", "p95"}  # 300 iterations: none for p99
    assert (row.n_restarts, row.n_iterations) == (5, 300)
    assert (row.load_ms, row.first_ms) == (80, 32)
    assert row.peak_rss_bytes == 90 * 2**20 + 4
    assert row.backend_version == "1.27.0"
    assert row.actual["threads"] == 4
    assert row.accuracy is not None
    assert row.accuracy.value == 71.88
    assert row.weights == "random"


def test_every_case_has_its_row_in_order() -> None:
    document = make_run()
    table = rows(document)
    assert [row.case_id for row in table] == [case.case_id for case in document.header.cases]
    assert {row.verdict for row in table} >= {Verdict.VALID, Verdict.UNSTABLE, Verdict.UNSUPPORTED, Verdict.FAILED}
    assert all((row.reason == "") == (row.verdict is Verdict.VALID) for row in table)


def test_the_rows_of_a_document_read_back_are_the_same() -> None:
    document = make_run(1, 2, 2)
    assert rows(RunDocument.model_validate_json(document.model_dump_json())) == rows(document)


@pytest.mark.parametrize(
    ("modes", "verdict"),
    [
        (["performance"], Verdict.VALID),
        (["ondemand"], Verdict.NOT_COMPARABLE),
        (["performance", "ondemand"], Verdict.NOT_COMPARABLE),  # changed in mid-run
        (["unknown"], Verdict.NOT_COMPARABLE),
    ],
)
def test_a_device_in_another_power_mode_than_asked_for(modes: list[str], verdict: Verdict) -> None:
    case = CASE.model_copy(update={"power_mode": "performance"})
    restarts = good(
        telemetry_before=Telemetry.of({"governor": [modes[0]]}), telemetry_after=Telemetry.of({"governor": [modes[-1]]})
    )
    (row,) = rows(make_document([case], restarts))
    assert row.verdict is verdict
    assert row.environment["governor"] == tuple(sorted(set(modes) - {"unknown"}))
    assert all(mode in row.reason for mode in modes if verdict is Verdict.NOT_COMPARABLE and mode != "unknown")
    assert one(restarts).verdict is Verdict.VALID  # nobody asked


def test_known_unsupported() -> None:
    case = CASE.model_copy(update={"unsupported": "no reader for .onnx"})
    (row,) = rows(make_document([case], good()))
    assert (row.verdict, row.reason) == (Verdict.UNSUPPORTED, "no reader for .onnx")
    assert row.median_ms is None
    assert row.n_restarts == 0


@pytest.mark.parametrize(
    ("outcomes", "verdict", "reason"),
    [
        (["failed", "failed"], Verdict.FAILED, "failed 1"),
        (["unsupported", "unsupported"], Verdict.UNSUPPORTED, "unsupported 1"),
        (["offline"], Verdict.OFFLINE, "offline 0"),
        (["failed", "offline"], Verdict.FAILED, "failed 0"),
    ],
)
def test_no_numbers(outcomes: list[str], verdict: Verdict, reason: str) -> None:
    row = one([make_lost(CASE, number, outcome, f"{outcome} {number}") for number, outcome in enumerate(outcomes)])
    assert (row.verdict, row.reason) == (verdict, reason)
    assert (row.median_ms, row.ci95_ms, row.percentiles_ms, row.n_restarts) == (None, None, {}, 0)


def test_nobody_measured_the_case() -> None:
    assert one([]).reason == "the run ended without measuring this case"
    assert one([], finished_at=None).reason == "not measured: the run is not finished"
    assert one([]).verdict is Verdict.FAILED


def test_success_without_samples_is_none() -> None:
    row = one(good(samples_ns=()))
    assert (row.verdict, row.reason) == (Verdict.FAILED, "the device reported success and sent no samples")


def test_verified_is_what_every_restart_was() -> None:
    assert one(good(2)).verified
    assert not one([*good(1), make_restart(CASE, 1, verified=False)]).verified
    assert not one([]).verified


def test_some_restarts_lost() -> None:
    row = one([*good(3), make_lost(CASE, 3), make_lost(CASE, 4, "offline", "no route to host")])
    assert row.verdict is Verdict.UNSTABLE
    assert row.reason == "3 of 5 restarts: the last one lost was offline (no route to host)"
    assert row.median_ms == pytest.approx(20, rel=0.02)
    assert row.n_restarts == 3


def test_some_restarts_to_come() -> None:
    assert one(good(2), finished_at=None).reason == "2 of 5 restarts: the run is not finished"


def test_spread_of_restarts() -> None:
    wild = [make_restart(CASE, number, median_ms=20 + 4 * number) for number in range(5)]
    row = one(wild)
    assert row.verdict is Verdict.UNSTABLE
    assert row.reason.startswith("restart medians spread by 2")
    assert row.reason.endswith("more than 10%")


@pytest.mark.parametrize(("other", "verdict"), [(21, Verdict.VALID), (23, Verdict.UNSTABLE)])
def test_spread_of_two_restarts_is_their_range(other: float, verdict: Verdict) -> None:
    pair = [
        make_restart(CASE, 0, samples_ns=(20_000_000,) * 50),
        make_restart(CASE, 1, samples_ns=(other * 10**6,) * 50),
    ]
    assert one(pair, profile=STANDARD.model_copy(update={"restarts": 2})).verdict is verdict


def test_warmup_that_did_not_settle() -> None:
    row = one([make_restart(CASE, number, warmup_stable=number < 2) for number in range(5)])
    assert (row.verdict, row.reason) == (Verdict.UNSTABLE, "warm-up did not settle in 3 of 5 restarts")
    assert one([make_restart(CASE, number, warmup_stable=number < 3) for number in range(5)]).verdict is Verdict.VALID


def test_a_clock_that_stands_still() -> None:
    row = one(good(samples_ns=(0,) * 60))
    assert row.verdict is Verdict.FAILED
    assert row.median_ms is None
    assert "clock is too coarse" in row.reason


def test_all_findings_are_in_the_reason() -> None:
    reason = one([make_restart(CASE, n, median_ms=10 * (n + 1), warmup_stable=False) for n in range(3)]).reason
    assert [part in reason for part in ("3 of 5", "spread by", "did not settle")] == [True] * 3


def test_a_repeated_restart_replaces_the_rejected_one() -> None:
    first = make_lost(CASE, 0)
    second = make_restart(CASE, 0, attempt=1)
    assert last_attempts([second, first]) == (second,)
    assert one([first, second, *good(5)[1:]]).verdict is Verdict.VALID
    worse = first.model_copy(update={"attempt": 2})
    assert one([first, second, worse, *good(5)[1:]]).n_restarts == 4


def test_restarts_of_an_unknown_case_are_ignored() -> None:
    assert one([*good(), make_restart(make_case(model="other"))]).n_restarts == 5


def test_model_without_facts() -> None:
    row = one(good())
    assert (row.weights, row.accuracy, row.family) == ("unknown", None, None)


@given(
    st.lists(
        st.builds(
            lambda number, attempt, outcome, samples, stable: Restart(
                case_id=CASE.case_id,
                round=number,
                attempt=attempt,
                started_at="",
                wall_ns=0,
                outcome=outcome,
                samples_ns=samples,
                warmup_stable=stable,
            ),
            st.integers(0, 6),
            st.integers(0, 2),
            st.sampled_from(["ok", "unsupported", "failed", "offline"]),
            st.lists(st.integers(0, 86_400 * 10**9), max_size=5).map(tuple),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_whatever_a_device_sends_there_is_one_row_with_a_reason(restarts: list[Restart], finished: bool) -> None:
    row = one(restarts, finished_at="" if finished else None)
    assert (row.median_ms is None) == (row.n_restarts == 0)
    assert (row.reason == "") == (row.verdict is Verdict.VALID)


def test_importing_loads_no_heavy_module() -> None:
    heavy = "{'pandas', 'altair', 'sqlalchemy', 'vl_convert', 'rich'}"
    modules = "results.judge.summary, results.judge.pareto, results.export"
    code = f"import sys, {modules}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def told(count: int, **actual: Any) -> list[Restart]:
    """Restarts that hold one aggregate each, 10 ms, 11 ms and so on."""
    words = {"aggregates": "each restart is the median that the tool told", "aggregate": {"count": 50}}
    return [
        make_restart(CASE, number, actual=words | actual, samples_ns=((10 + number) * 10**6,))
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_interval_of_few_aggregates_is_their_range(count: int) -> None:
    row = one(told(count))
    assert row.ci95_ms == (10, 9 + count)
    assert row.aggregates == "each restart is the median that the tool told"
    assert row.n_iterations == 50 * count


def test_one_aggregate_has_no_interval_and_many_no_percentiles() -> None:
    assert one(told(1)).ci95_ms is None
    assert one(told(1)).median_ms == 10
    assert one(told(12)).percentiles_ms == {}


@pytest.mark.parametrize("count", [None, 0, -3, "50", 10**9, True])
def test_an_aggregate_of_a_count_nobody_can_believe_counts_once(count: object) -> None:
    assert one(told(2, aggregate={"count": count})).n_iterations == 2


def test_what_fell_back_is_in_the_row() -> None:
    fallen = good(5, actual={"fallback": "7 of 9 nodes ran on CPUExecutionProvider"})
    assert one(fallen).fallback == "7 of 9 nodes ran on CPUExecutionProvider"
    assert one(good(3) + fallen[3:]).fallback.endswith("CPUExecutionProvider (in 2 of 5 restarts)")
    assert one(good(5, actual={"fallback": ""})).fallback == ""
    assert one(good(5, actual={"fallback": ["not", "text"]})).fallback == ""
