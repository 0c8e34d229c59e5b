"""Which case is measured once more, by which budget, and that a run really does it."""

from __future__ import annotations

import pytest

from harness.run.uncertain import Uncertain, medians_of
from results import journal
from results.records import Stopping
from tests.results.factory import make_case, make_lost, make_restart
from tests.rigs.bench import Bench

NARROW, WIDE = {0: 5.0, 1: 5.0001, 2: 5.0}, {0: 5.0, 1: 6.0, 2: 4.0}
BOTH = {"narrow", "wide"}


def test_the_budget_is_shared_and_ends() -> None:
    uncertain = Uncertain(Stopping(target=0.01, extra=1.0), 3, {"narrow": NARROW, "wide": WIDE})
    assert uncertain.next(BOTH) == ("wide", 3)
    for number in (3, 4):
        assert uncertain.next(BOTH) == ("wide", number)
        uncertain.add(make_restart(make_case(), number).model_copy(update={"case_id": "wide"}), None)
    assert uncertain.next(BOTH) is None, "two cases, two restarts more"


def test_restarts_without_numbers_use_the_budget_up() -> None:
    uncertain = Uncertain(Stopping(target=0.01, extra=1.0), 3, {"wide": {**WIDE, 3: None}})
    assert uncertain.next({"wide"}) is None


@pytest.mark.parametrize(
    "stopping", [Stopping(target=0.5), Stopping(target=0.01, most=3), Stopping(target=0.01, extra=0)]
)
def test_nothing_is_added(stopping: Stopping) -> None:
    assert Uncertain(stopping, 3, {"narrow": NARROW, "wide": {0: 5.0, 1: 5.3, 2: 4.9}}).next(BOTH) is None


def test_what_is_given_up_is_left() -> None:
    assert Uncertain(Stopping(target=0.01), 3, {"narrow": NARROW, "wide": WIDE}).next({"narrow"}) is None


def test_time_is_a_budget_of_its_own() -> None:
    much = {**WIDE, **dict.fromkeys(range(3, 9), 5.0)}
    assert Uncertain(Stopping(target=0.01, max_minutes=60), 3, {"wide": much}).next({"wide"}) == ("wide", 9)
    assert Uncertain(Stopping(target=0.01, max_minutes=1e-9), 3, {"wide": WIDE}).next({"wide"}) is None


def test_medians_are_of_what_can_be_believed() -> None:
    case = make_case()
    found = medians_of([make_restart(case, 0, samples_ns=(5, 7, 9)), make_lost(case, 1)])
    assert found == {case.case_id: {0: 7.0, 1: None}}


def test_a_run_adds_restarts_and_says_so(bench: Bench) -> None:
    bench.copy_model("onnx")
    (row,) = bench.rows(
        "run", "--models", "tiny.onnx", "--backends", "onnxruntime", "--target-ci", "0.01%", "--max-minutes", "0.12"
    )
    assert "restarts were added, as it was uncertain" in row["notes"]
    (folder,) = (bench.workspace / "runs").iterdir()
    document = journal.read(folder)
    assert document.header.stopping == Stopping(target=0.0001, extra=5.0, most=100, max_minutes=0.12)
    assert {restart.round for restart in document.restarts} >= {0, 1, 2}
    assert document.finished_at is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target-ci", "0"), "no percentage between"),
        (("--target-ci", "nan%"), "no percentage between"),
        (("--max-minutes", "0"), "not in the range"),
        (("--fixed", "--target-ci", "1%"), "--fixed adds no restarts"),
    ],
)
def test_bad_options(bench: Bench, arguments: tuple[str, ...], words: str) -> None:
    assert words in bench("run", "--models", "tiny.onnx", *arguments, expect=2).stderr
