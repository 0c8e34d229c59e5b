"""Inferences told apart by their marks, and what that makes of a restart and of a row."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from results.judge.device import noise
from results.judge.summary import rows
from results.judge.validity import judge_restart
from results.records import Noise, Restart, Telemetry, Verdict, packed
from tests.results.factory import STANDARD, make_case, make_document, make_restart

CASE = make_case()
MS = 1_000_000


def marked(disturbed: list[bool], **changes: Any) -> Noise:
    bits = packed(np.packbits(np.array(disturbed, dtype=bool)))
    return Noise(**{"marked_by": "schedstat", "disturbed": bits, "lost_ns": 0} | changes)


def restart(samples_ms: list[float], disturbed: list[bool], number: int = 0, **changes: Any) -> Restart:
    took = changes.pop("probe_ns", (1000, 1000))
    kept = {key: changes.pop(key) for key in ("telemetry_after",) if key in changes}
    samples = tuple(int(value * MS) for value in samples_ms)
    probes = ((0, took[0]), (len(samples), took[1]))
    return make_restart(CASE, number, samples_ns=samples, probes=probes, noise=marked(disturbed, **changes), **kept)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.booleans()), min_size=1, max_size=200))
def test_the_own_latency_is_that_of_the_marked_ones(pairs: list[tuple[int, bool]]) -> None:
    samples, flags = zip(*pairs, strict=True)
    found = noise.split(make_restart(CASE, samples_ns=samples, noise=marked(list(flags))))
    kept = [sample for sample, flag in pairs if not flag]
    assert found.undisturbed == len(kept)
    assert list(found.observed) == list(samples)
    assert list(found.own) == (kept or list(samples))
    assert found.is_contended == (len(kept) < len(pairs) / 2 or len(kept) < min(11, len(pairs)))


def test_what_was_shielded_is_the_own_latency_and_not_what_a_user_gets() -> None:
    found = noise.split(restart([9, 30, 31, 5, 5, 5, 20], [False, True, True, *[False] * 3, True], shielded_from=3))
    assert list(found.own / MS) == [5, 5, 5]
    assert list(found.observed / MS) == [9, 30, 31]


def test_lost_time_is_that_of_what_a_user_gets() -> None:
    found = noise.split(restart([10, 30, 5], [False, True, False], shielded_from=2, lost_ns=20 * MS))
    assert found.lost_share == 0.5


def test_without_marks_all_count_and_nothing_is_claimed() -> None:
    found = noise.split(make_restart(CASE, samples_ns=(5, 6, 7)))
    assert (found.undisturbed, found.lost_share, found.is_contended) == (None, None, False)
    assert list(found.own) == [5, 6, 7]


@pytest.mark.parametrize("changes", [{"disturbed": "AAAA"}, {"shielded_from": 9}, {"disturbed": ""}])
def test_damaged_marks_are_none(changes: dict[str, Any]) -> None:
    damaged = restart([1.0, 2.0], [True, True]).model_copy(
        update={"noise": marked([True, True]).model_copy(update=changes)}
    )
    assert noise.split(damaged).undisturbed is None


def test_more_marks_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        marked([True] * 9).flags(8)
    with pytest.raises(ValidationError):
        marked([True], marked_by="guess")


def test_a_restart_without_undisturbed_time_is_contended_and_says_what_to_do() -> None:
    bad = restart([12.0] * 60, [True] * 50 + [False] * 10, lost_ns=360 * MS, unshielded="not allowed here")
    judgment = judge_restart(bad, CASE, STANDARD)
    assert judgment.verdict is Verdict.CONTENDED
    assert judgment.is_repeated
    assert judgment.has_numbers
    for words in ("10 of 60 inferences kept theirs", "50% of the time", "not allowed here", "stop what else runs"):
        assert words in judgment.reason


@pytest.mark.parametrize(("virtual", "verdict"), [(True, Verdict.CONTENDED), (False, Verdict.THROTTLED)])
def test_a_slower_core_is_told(virtual: bool, verdict: Verdict) -> None:
    slow = restart([5.0] * 60, [False] * 60, probe_ns=(1000, 1300), telemetry_after=Telemetry(virtual=virtual))
    assert judge_restart(slow, CASE, STANDARD, 1000).verdict is verdict
    assert "10% slower than at best for 100% of the inferences" in judge_restart(slow, CASE, STANDARD, 1000).reason
    assert judge_restart(slow, CASE, STANDARD, 1200).verdict is Verdict.VALID
    assert judge_restart(slow, CASE, STANDARD, None).verdict is Verdict.VALID


def test_only_what_ran_between_slow_probes_is_left_out() -> None:
    probes = ((0, 1000), (20, 1010), (30, 1300), (40, 1000), (60, 1000))
    some = restart([5.0] * 20 + [7.0] * 20 + [5.0] * 20, [False] * 60).model_copy(update={"probes": probes})
    found = noise.split(some, 1000)
    assert (found.undisturbed, set(found.own / MS), found.is_contended) == (40, {5.0}, False)
    assert found.slow_share == pytest.approx(1 / 3)
    assert noise.split(some).undisturbed == 60
    assert judge_restart(some, CASE, STANDARD, 1000).verdict is Verdict.VALID


def row_of(contended: int, **changes: Any) -> Any:
    bad = [restart([15.0 + 0.001 * i for i in range(60)], [True] * 60, number) for number in range(contended)]
    good = [restart([5.0 + 0.001 * i for i in range(60)], [False] * 60, number) for number in range(contended, 5)]
    return rows(make_document([CASE], [*bad, *good], **changes))[0]


def test_restarts_that_agree_on_a_wrong_number_are_not_valid() -> None:
    row = row_of(5)
    assert row.verdict is Verdict.CONTENDED
    assert "(so in 5 of 5 restarts)" in row.reason


def test_a_few_contended_restarts_are_left_out() -> None:
    row = row_of(2)
    assert (row.verdict, row.n_restarts, row.n_undisturbed) == (Verdict.VALID, 3, 180)
    assert row.median_ms == pytest.approx(5.03, abs=0.01)
    assert row_of(3).verdict is Verdict.CONTENDED


@pytest.mark.parametrize(
    ("medians_ms", "shielded", "verdict"),
    [
        ([5.0, 5.1, 5.0, 4.9, 5.0], 5, Verdict.VALID),
        ([5.0, 5.1, 6.0, 5.2, 5.0], 5, Verdict.CONTENDED),
        ([5.0, 5.1, 6.0, 5.2, 5.0], 2, Verdict.VALID),
    ],
)
def test_beside_other_work_restarts_have_to_agree(medians_ms: list[float], shielded: int, verdict: Verdict) -> None:
    """What it does to caches and memory is not marked."""
    made = [
        restart([12.0] * 50 + [median] * 60, [True] * 50 + [False] * 60, number, shielded_from=50)
        if number < shielded
        else restart([median] * 60, [False] * 60, number)
        for number, median in enumerate(medians_ms)
    ]
    row = rows(make_document([CASE], made))[0]
    assert row.verdict is verdict
    assert verdict is Verdict.VALID or "reaches 18% from the median, more than 10%" in row.reason


def test_a_slow_virtual_core_is_found_by_the_best_of_the_run() -> None:
    slow = [
        restart([6.5] * 60, [False] * 60, number, probe_ns=(1400, 1400), telemetry_after=Telemetry(virtual=True))
        for number in range(4)
    ]
    row = rows(make_document([CASE], [*slow, restart([5.0] * 60, [False] * 60, 4)]))[0]
    assert row.verdict is Verdict.CONTENDED
    assert "other virtual machines" in row.reason


def test_marks_of_only_some_restarts_are_not_claimed_for_all() -> None:
    mixed = [restart([5.0] * 60, [False] * 60, 0), *(make_restart(CASE, n, median_ms=5.0) for n in range(1, 5))]
    row = rows(make_document([CASE], mixed))[0]
    assert (row.marked_by, row.n_undisturbed, row.lost_share) == ("unknown", None, None)


@given(st.lists(st.tuples(st.integers(0, 80), st.sampled_from([1000, 1300])), max_size=20))
def test_the_core_was_slow_beside_any_slow_probe(probes: list[tuple[int, int]]) -> None:
    probes.sort()
    flags = [False] * 60
    found = noise.split(make_restart(CASE, samples_ns=(5 * MS,) * 60, noise=marked(flags), probes=tuple(probes)), 1000)
    slow = {
        place
        for (begin, before), (end, after) in pairwise(probes)
        if max(before, after) > 1100
        for place in range(begin, min(end, 60))
    }
    assert found.slow_share == pytest.approx(len(slow) / 60)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**12)), max_size=20))
def test_probes_in_any_order_are_no_error(probes: list[tuple[int, int]]) -> None:
    found = make_restart(CASE, samples_ns=(5 * MS,) * 60, noise=marked([False] * 60), probes=tuple(probes))
    assert 0 <= noise.split(found, noise.best_probe_ns([found])).slow_share <= 1


def test_no_core_is_called_slow_beside_a_probe_that_cannot_be() -> None:
    told = [
        restart([5.0] * 60, [False] * 60, number, probe_ns=took) for number, took in enumerate([(1, 0), (2000,) * 2])
    ]
    assert noise.best_probe_ns(told) == 2000
    assert noise.best_probe_ns(told[:1]) is None


def test_what_is_told_of_a_shielded_restart_is_of_what_was_shielded() -> None:
    flags = [True] * 20 + [True] * 30 + [False] * 5
    reason = judge_restart(restart([5.0] * 55, flags, shielded_from=20), CASE, STANDARD).reason
    assert "5 of 35 inferences kept theirs" in reason
