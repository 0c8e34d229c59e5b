"""How much of a graph was elsewhere, from what a runtime says; a device may say anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge import placement
from results.judge.placement import fallback, of_row, percent
from results.judge.summary import rows
from results.judge.validity import believed, judge_restart
from results.records import Placement, Verdict
from tests.results.factory import STANDARD, make_case, make_document, make_restart

EDGEFIT = {
    "asked": ["GPU"],
    "placement": {"GPU": 54, "CPU": 46},
    "multiply_adds": {"GPU": 10**6, "CPU": 99 * 10**6},
    "left": {"Conv": 40, "Gemm": 5, "Clip": 1},
    "fallback": "46 of 100 nodes ran on CPU",
}


def test_nodes_and_multiply_adds_are_both_counted() -> None:
    assert placement.placement(EDGEFIT) == Placement(
        asked=("GPU",), nodes=100, nodes_elsewhere=46, multiply_adds_share_elsewhere=0.99
    )
    assert fallback(EDGEFIT) == "46 of 100 nodes ran on CPU (99 % of the multiply-adds)"


@pytest.mark.parametrize(
    ("changes", "nodes", "elsewhere", "share"),
    [
        ({"asked": ["GPU", "CPU"]}, 100, 0, 0.0),
        ({"asked": ["NPU"]}, 100, 100, 1.0),
        ({"asked": ["x" * 99], "placement": {"x" * 99: 4, "CPU": 1}, "multiply_adds": {"CPU": 3}}, 5, 1, 1.0),
        ({"multiply_adds": {"GPU": 0, "CPU": 0}}, 100, 46, None),  # nothing is multiplied
        ({"multiply_adds": None}, 100, 46, None),
        ({"multiply_adds": {"GPU": 1, "CPU": -1}}, 100, 46, None),
        ({"placement": None}, None, None, None),
        ({"placement": {"GPU": 3, "CPU": "many"}}, None, None, None),
        ({"placement": {"GPU": 0}}, None, None, None),
        ({"placement": {"GPU": 2**40}}, None, None, None),
    ],
)
def test_what_is_not_known_is_none(
    changes: dict[str, Any], nodes: int | None, elsewhere: int | None, share: float | None
) -> None:
    found = placement.placement({**EDGEFIT, **changes})
    assert found is not None
    assert (found.nodes, found.nodes_elsewhere, found.multiply_adds_share_elsewhere) == (nodes, elsewhere, share)


def test_without_an_accelerator_there_is_nothing_to_be_elsewhere() -> None:
    assert placement.placement({"placement": {"CPU": 3}}) is None
    assert placement.placement({"asked": [], "placement": {"CPU": 3}}) is None


def test_an_unknown_share_is_said() -> None:
    words = fallback({**EDGEFIT, "multiply_adds": {}})
    assert words == "46 of 100 nodes ran on CPU (an unknown share of the multiply-adds)"
    assert fallback({**EDGEFIT, "asked": ["NPU"], "fallback": "all 100 nodes ran on CPU"}) == "all 100 nodes ran on CPU"
    assert fallback({"fallback": "the tool does not tell"}) == "the tool does not tell"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (1e-9, "under 0.1 %"),
        (0.012, "1.2 %"),
        (0.4567, "45.7 %"),
        (0.99951, "over 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_in_words(share: float, words: str) -> None:
    assert percent(share) == words


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=100),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "asked": JSON | st.lists(st.sampled_from(["GPU", "NPU", ""]), max_size=3),
        **dict.fromkeys(("placement", "multiply_adds", "left"), JSON | st.dictionaries(
            st.sampled_from(["GPU", "CPU"]), st.integers(-1, 2**64), max_size=2)),
        "fallback": JSON,
    },
)  # fmt: skip


@given(SAID)
def test_whatever_is_said_a_row_can_be_made_of_it(said: dict[str, Any]) -> None:
    case = make_case(strict=True)
    restart = make_restart(case, actual=said)
    judgment = judge_restart(restart, case, STANDARD)
    assert (judgment.cause == "fallback") == bool(fallback(said))
    (row,) = rows(make_document([case], [believed(restart, case, STANDARD)]))
    found = row.placement
    if found is not None and found.nodes is not None:
        assert found.nodes_elsewhere is not None
        assert 0 <= found.nodes_elsewhere <= found.nodes


def test_a_strict_case_fails_with_what_was_elsewhere_and_keeps_its_placement() -> None:
    case = make_case(strict=True)
    restarts = [believed(make_restart(case, number, actual=EDGEFIT), case, STANDARD) for number in range(2)]
    assert {(one.outcome, one.cause) for one in restarts} == {("failed", "fallback")}
    (row,) = rows(make_document([case], restarts))
    assert (row.verdict, row.median_ms, row.fallback) == (Verdict.FAILED, None, "")
    assert row.reason.startswith(
        "not wholly where it was asked to be: 46 of 100 nodes ran on CPU (99 % of the multiply-adds); "
        "what was not taken: 40 Conv, 5 Gemm, 1 Clip; change these operators"
    )
    assert row.placement == placement.placement(EDGEFIT)
    whole = make_restart(case, actual={**EDGEFIT, "placement": {"GPU": 100}, "fallback": ""})
    assert judge_restart(whole, case, STANDARD).verdict is Verdict.VALID
    assert judge_restart(make_restart(make_case(), actual=EDGEFIT), make_case(), STANDARD).verdict is Verdict.VALID


def test_a_row_has_the_worst_of_its_restarts() -> None:
    case = make_case()
    actuals = [{**EDGEFIT, "placement": {"GPU": 100 - count, "CPU": count}} for count in (0, 46, 3)]
    found = of_row([make_restart(case, number, actual=actual) for number, actual in enumerate(actuals)])
    assert found is not None
    assert found.nodes_elsewhere == 46
    assert of_row([make_restart(case)]) is None
