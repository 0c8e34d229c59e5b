from __future__ import annotations

import pytest

from results.judge.twins import compared, group, to_blame
from results.records import Row, Verdict
from tests.results.factory import make_row


def int8(median: float, **changes: object) -> Row:
    values = {"precision": "int8", "method": "static", "ci95_ms": (median * 0.98, median * 1.02)} | changes
    return make_row("m", median, None, **values)


FP32 = make_row("m", 10, 70)


def test_a_speedup_is_the_ratio_of_the_medians_with_both_noises() -> None:
    reference, fast = compared([FP32, int8(5)])
    assert (reference.speedup, reference.notes) == (None, ())
    assert fast.speedup == pytest.approx(2)
    low, high = fast.speedup_ci95
    assert 2 * 0.975 < low < 2 < high < 2 * 1.026
    assert fast.notes == ()


def test_what_is_slower_beyond_noise_says_so_and_nothing_else_does() -> None:
    slow, alike = compared([FP32, int8(30, notes=("a note",)), int8(10.1)])[1:]
    assert slow.notes == (
        "a note",
        "slower than fp32 (0.33 times as fast): the runtime does not tell which operators take the time",
    )
    assert alike.speedup < 1
    assert alike.notes == ()


@pytest.mark.parametrize(
    "other",
    [
        make_row("m", 10, 70, threads=1),
        make_row("m", 10, 70, device="another"),
        make_row("m", 10, 70, backend="tflite"),
        make_row("m", 10, 70, options={"spinning": "off"}),
        make_row("n", 10, 70),
        make_row("m", 10, 70, verdict=Verdict.UNSTABLE, reason="2 of 5 restarts"),
        make_row("m", 10, 70, precision="fp16"),
    ],
)
def test_other_rows_are_no_twins(other: Row) -> None:
    assert [row.speedup for row in compared([other, int8(5)])] == [None, None]


def test_a_hint_is_a_precision_and_no_option() -> None:
    hint = make_row("m", 5, None, precision="bf16", method="hint", options={"inference_precision": "bf16"})
    assert group(hint) == group(FP32)
    assert compared([hint, FP32])[0].speedup == pytest.approx(2)


@pytest.mark.parametrize(
    ("told", "before", "said"),
    [
        (
            {"left": {"HARD_SWISH": 19, "MEAN": 2, "PAD": 4}},
            {"left": {"PAD": 4, "MEAN": 1}},
            "19 of HARD_SWISH, 1 of MEAN left to the built-in kernels",
        ),
        (
            {"time": {"QLinearSigmoid": 0.41, "Mul": 0.2, "Add": 0.1, "Conv": 0.09, "MatMul": 0.08}},
            {},
            "most of its time is in QLinearSigmoid (41%), Mul (20%), Add (10%), 2 more kinds",
        ),
        ({"compute": {"int8": 50, "fp32": 12}}, {}, "of 62 operators 12 compute in fp32"),
        ({"compute": {"int8": 50}}, {}, "the runtime does not tell which operators take the time"),
        ({"left": ["x"], "time": {"a": "b", "c": True, "d": -1}, "compute": 7}, {"left": None}, "the runtime does not"),
    ],
)
def test_who_is_to_blame_is_what_the_runtime_tells(told: dict, before: dict, said: str) -> None:
    twin = FP32.model_copy(update={"actual": before})
    assert to_blame(int8(30, actual=told), twin).startswith(said)


def test_a_transformed_model_in_fp32_is_held_against_the_model_before() -> None:
    pruned = make_row("m+prune0.5", 20, 60, untransformed="m")
    before, smaller, smaller_int8 = compared([FP32, pruned, int8(5).model_copy(update={"model": "m+prune0.5"})])
    assert before.speedup is None
    assert smaller.speedup == pytest.approx(0.5)
    assert smaller.notes[0].startswith("slower than m (0.50 times as fast)")
    assert smaller_int8.speedup == pytest.approx(4), "another precision is held against fp32 of the same model"
    assert compared([pruned])[0].speedup is None


def test_a_reference_that_nobody_checked_is_none() -> None:
    unchecked = make_row("net", 4.0, 70, precision="fp32", verified=False, unverified="it shows no output")
    faster = make_row("net", 2.0, 70, precision="int8", method="qdq")
    assert [row.speedup for row in compared([unchecked, faster])] == [None, None]
    checked = unchecked.model_copy(update={"verified": True})
    assert compared([checked, faster])[1].speedup == 2.0
