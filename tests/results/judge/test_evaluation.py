"""From the parts of evaluations to rows: figures, comparisons with fp32, checks, and records that cannot be true."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge import accuracy
from results.judge.pareto import accuracy_class, by_class
from results.judge.summary import rows
from results.records import Accuracy, DatasetFacts, Evaluated, Evaluation, ModelFacts, Profile, Row, Verdict, packed
from tests.results.evaluations import (
    ACCURACY_ONLY,
    CLASSES,
    evaluated_document,
    make_dataset,
    make_lost_part,
    make_part,
    make_parts,
    make_scores,
)
from tests.results.factory import STANDARD, make_case, make_facts, make_restart

DATA = make_dataset()
CASE = make_case(dataset=DATA.sha256)
INT8_WAY = {"precision": "int8", "method": "qdq"}
INT8 = make_case(dataset=DATA.sha256, **INT8_WAY)


def row_of(parts: list[Evaluation], facts: DatasetFacts = DATA, **changes: Any) -> Row:
    case = make_case(dataset=facts.sha256, precision=changes.pop("precision", "fp32"))
    own = [part.model_copy(update={"case_id": case.case_id}) for part in parts]
    (row,) = rows(evaluated_document([case], facts, own, **changes))
    return row


def evaluated(row: Row) -> Evaluated:
    assert row.evaluation is not None
    return row.evaluation


def parts_of(*wrong: int, facts: DatasetFacts = DATA, **changes: Any) -> list[Evaluation]:
    return make_parts(CASE, facts, make_scores(facts, wrong), **changes)


def test_the_figures_of_an_evaluation() -> None:
    row = row_of(parts_of(0, 1, 11))
    found = evaluated(row)
    assert (found.dataset, found.split, found.metric) == ("fashion-mnist", "test", "top-1 %")
    assert (found.value, found.samples, found.total) == (98.5, 200, 200)
    assert found.ci95 == pytest.approx([100 * bound for bound in accuracy.wilson(197, 200)], abs=1e-6)
    assert found.per_class == {name: {0: 95.0, 1: 90.0}.get(number, 100.0) for number, name in enumerate(CLASSES)}
    assert found.top5 is not None
    assert 98.5 <= found.top5 <= 100
    assert found.images_per_s == pytest.approx(1000)
    assert found.calibration_error is not None
    assert 0 < found.calibration_error < 0.2
    assert (found.agreement, found.mcnemar_p, found.loss, found.reference) == (None, None, None, None)


def test_the_accuracy_stands_behind_published_ones_and_says_what_it_rests_on() -> None:
    model = make_facts("mobilenet_v2", 71.9)
    row = row_of(parts_of(0), models=(model,))
    assert [a.kind for a in row.accuracies] == ["published", "measured"]
    measured = row.accuracies[1]
    assert (measured.value, measured.metric, measured.dataset) == (99.5, "top-1 %", "fashion-mnist test")
    assert measured.source == "200 images on pi4 under onnxruntime 1.31.1"
    assert (measured.samples, measured.ci95) == (200, evaluated(row).ci95)


def test_what_was_measured_takes_the_place_of_what_the_user_says_was_measured_on_the_same() -> None:
    said = Accuracy(value=88.0, dataset="fashion-mnist test", kind="measured", source="own validation")
    other = said.model_copy(update={"dataset": "photographs"})
    model = ModelFacts(name="mobilenet_v2", weights="own", accuracies=(said, other))
    assert [a.value for a in row_of(parts_of(0), models=(model,)).accuracies] == [88.0, 99.5]


def test_accuracy_alone_is_valid_without_latency() -> None:
    row = row_of(parts_of())
    assert (row.verdict, row.reason, row.unevaluated, row.asked) == (Verdict.VALID, "", "", ("accuracy",))
    assert (row.median_ms, row.ci95_ms, row.percentiles_ms, row.n_restarts) == (None, None, {}, 0)
    assert (row.backend_version, row.actual) == ("1.31.1", {"threads": 4})


def test_latency_and_accuracy_are_one_row() -> None:
    restarts = [make_restart(CASE, number) for number in range(5)]
    (row,) = rows(evaluated_document([CASE], DATA, parts_of(0), restarts=restarts, profile=STANDARD))
    assert row.median_ms is not None
    assert evaluated(row).value == 99.5
    assert (row.verdict, row.asked, row.backend_version) == (Verdict.VALID, ("latency", "accuracy"), "1.27.0")


def test_int8_is_held_against_fp32_on_the_same_samples() -> None:
    ours, theirs = make_scores(DATA, [0, 1, 2, 3, 9]), make_scores(DATA, [0, 5])
    document = evaluated_document([CASE, INT8], DATA, [*make_parts(CASE, DATA, theirs), *make_parts(INT8, DATA, ours)])
    whole, found = map(evaluated, rows(document))
    assert (whole.loss, whole.agreement) == (None, None)
    assert found.loss == pytest.approx(1.5)
    assert found.loss_ci95 is not None
    assert found.loss_ci95[0] < 1.5 < found.loss_ci95[1]
    assert found.agreement == pytest.approx(195 / 200)
    is_right = [np.isin(np.arange(200), wrong, invert=True) for wrong in ([0, 5], [0, 1, 2, 3, 9])]
    assert found.mcnemar_p == pytest.approx(accuracy.mcnemar(*is_right))
    assert found.logit_snr_db == pytest.approx(accuracy.snr_db(theirs[:100], ours[:100]))
    assert found.notes == ()


def test_fp32_under_the_same_runtime_and_device_goes_before_any_other() -> None:
    cases = {
        name: make_case(dataset=DATA.sha256, backend=backend, device=device)
        for name, backend, device in (("far", "onnxruntime", "laptop"), ("other", "tflite", "pi4"))
    }
    wrong = {"far": [1], "other": [1, 2]}

    def loss_of(*names: str, **own: Any) -> Evaluated:
        parts = [part for n in names for part in make_parts(cases[n], DATA, make_scores(DATA, wrong[n]))]
        parts += make_parts(INT8, DATA, make_scores(DATA, [1, 2, 3]))
        if own:
            parts += make_parts(CASE, DATA, make_scores(DATA))
        return evaluated(rows(evaluated_document([INT8, *(cases[n] for n in names), *own.values()], DATA, parts))[0])

    assert loss_of("far", "other", near=CASE).loss == 1.5
    assert loss_of("far", "other").loss == 0.5, "the same device goes before the same runtime"
    assert "under tflite" in loss_of("far", "other").notes[0]
    assert loss_of("far").loss == 1.0


def test_samples_that_only_one_of_the_two_has_answered_do_not_count() -> None:
    theirs = make_parts(CASE, DATA, make_scores(DATA, [150]))[:2]  # the first 128
    ours = make_parts(INT8, DATA, make_scores(DATA, [3, 151, 152]))
    found = evaluated(rows(evaluated_document([CASE, INT8], DATA, [*theirs, *ours]))[1])
    assert found.loss == pytest.approx(100 / 128)


def test_a_transformed_model_is_held_against_the_model_before_and_its_int8_against_its_fp32() -> None:
    cases = [CASE, *(make_case(model="small", dataset=DATA.sha256, **way) for way in ({}, INT8_WAY))]
    models = (make_facts(CASE.model, None), make_facts("small", None).model_copy(update={"untransformed": CASE.model}))
    wrong = {case.case_id: range(count) for case, count in zip(cases, (2, 8, 10), strict=True)}
    parts = [part for case in cases for part in make_parts(case, DATA, make_scores(DATA, wrong[case.case_id]))]
    losses = [evaluated(row).loss for row in rows(evaluated_document(cases, DATA, parts, models=models))]
    assert losses == [None, 3.0, 1.0]


def test_the_last_good_attempt_of_a_part_counts() -> None:
    first, second = parts_of(*range(64)), parts_of()
    lost = make_lost_part(CASE, DATA, first=0, attempt=2)
    again = [part.model_copy(update={"attempt": 1}) for part in second[:1]]
    row = row_of([*first, lost, *again])
    assert (evaluated(row).value, row.unevaluated, row.verdict) == (100.0, "", Verdict.VALID)


def test_an_unfinished_evaluation_says_so_and_is_a_class_of_its_own() -> None:
    row = row_of(parts_of()[:2], finished_at=None)
    assert row.unevaluated == "128 of 200 samples: the run is not finished"
    assert (row.verdict, row.reason) == (Verdict.UNSTABLE, row.unevaluated)
    assert (evaluated(row).samples, evaluated(row).total) == (128, 200)
    assert row.accuracies[0].dataset == "fashion-mnist test, 128 of 200"
    assert accuracy_class(by_class(row)[0]) != accuracy_class(by_class(row_of(parts_of()))[0])


def test_a_share_of_the_samples_is_complete_and_a_class_of_its_own() -> None:
    facts = make_dataset(samples=200, total=10_000)
    row = row_of(parts_of(facts=facts), facts)
    assert (row.verdict, row.unevaluated) == (Verdict.VALID, "")
    assert row.accuracies[0].dataset == "fashion-mnist test, 200 of 10000"


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [("failed", Verdict.FAILED), ("unsupported", Verdict.UNSUPPORTED), ("offline", Verdict.OFFLINE)],
)
def test_a_lost_evaluation_gives_its_reason(outcome: str, verdict: Verdict) -> None:
    row = row_of([make_lost_part(CASE, DATA, outcome=outcome, reason="no room")])
    assert (row.verdict, row.reason, row.unevaluated) == (verdict, "no room", "no room")
    assert (row.evaluation, row.accuracies) == (None, ())


@pytest.mark.parametrize(("profile", "asked"), [(ACCURACY_ONLY, ()), (STANDARD, ("latency",))])
def test_what_is_not_evaluated_says_why_in_its_row(profile: Profile, asked: tuple[str, ...]) -> None:
    case = CASE.model_copy(update={"dataset": None, "unevaluated": "no accuracy on x: no output for 3 classes"})
    restarts = [make_restart(CASE, number) for number in range(5)] if asked else []
    (row,) = rows(evaluated_document([case], DATA, [], restarts=restarts, profile=profile))
    assert (row.unevaluated, row.evaluation, row.asked) == (case.unevaluated, None, asked)
    expected = (Verdict.VALID, "") if asked else (Verdict.UNSUPPORTED, case.unevaluated)
    assert (row.verdict, row.reason) == expected


def test_a_lost_evaluation_leaves_the_latency_alone() -> None:
    restarts = [make_restart(CASE, number) for number in range(5)]
    lost = make_lost_part(CASE, DATA, first=64)
    document = evaluated_document([CASE], DATA, [*parts_of()[:1], lost], restarts=restarts, profile=STANDARD)
    (row,) = rows(document)
    assert (row.verdict, row.reason) == (Verdict.VALID, "")
    assert row.unevaluated == "64 of 200 samples: exit code 137"


def with_top(array: Any) -> list[Evaluation]:
    return [make_part(CASE, DATA, make_scores(DATA), 0, 200, top=packed(np.asarray(array, np.uint32)))]


GOOD = np.argsort(-make_scores(DATA), axis=1)[:, :5]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (with_top(GOOD[:150]), "not uint32 of the shape"),
        (with_top(np.where(np.arange(5) == 4, 11, GOOD)), "class 11 is named, and there are 10"),
        (with_top(np.repeat(GOOD[:, :1], 5, axis=1)), "not different ones"),
        (with_top(np.where(np.arange(5) == 2, 10, GOOD)), "not different ones"),
        ([make_part(CASE, DATA, make_scores(DATA), 0, 200, confidence="AAAA")], "not a packed array"),
        ([make_part(CASE, DATA, make_scores(DATA), 0, 200, logits_count=201)], "outputs of 201 of 200"),
        ([make_part(CASE, DATA, make_scores(DATA), 0, 200, logits=packed(GOOD))], "not float32 of the shape"),
        ([make_part(CASE, DATA, make_scores(DATA), 0, 200).model_copy(update={"first": 1})], "has 200 samples"),
        ([make_part(CASE, DATA, make_scores(DATA), 0, 200).model_copy(update={"count": 0})], "has 200 samples"),
    ],
)
def test_what_cannot_be_true_makes_no_number_and_says_why(parts: list[Evaluation], reason: str) -> None:
    row = row_of(parts)
    assert (row.verdict, row.evaluation, row.accuracies) == (Verdict.FAILED, None, ())
    assert reason in row.reason
    assert row.unevaluated == row.reason


def test_samples_told_twice_in_two_ways_count_once() -> None:
    scores = make_scores(DATA)
    parts = [make_part(CASE, DATA, scores, 0, 100), make_part(CASE, DATA, scores, 50, 100)]
    row = row_of([*parts, make_part(CASE, DATA, scores, 150, 50)])
    assert evaluated(row).samples == 150


def test_a_sample_without_an_answer_is_wrong() -> None:
    top = GOOD.copy()
    top[:3] = 10
    row = row_of(with_top(top))
    assert (evaluated(row).value, evaluated(row).top5) == (98.5, 98.5)
    assert evaluated(row).notes == ("3 of 200 samples have no answer (NaN or infinities), and count as wrong",)


def test_confidences_that_are_none_cost_the_calibration_alone() -> None:
    bad = packed(np.full(200, np.nan, np.float32))
    row = row_of([make_part(CASE, DATA, make_scores(DATA), 0, 200, confidence=bad)])
    assert (evaluated(row).value, evaluated(row).calibration_error) == (100.0, None)
    assert "no probabilities" in evaluated(row).notes[0]


@pytest.mark.parametrize("labels", ["", "AAAA", packed(np.full(200, 10, np.uint32)), packed(np.zeros(3, np.uint32))])
def test_damaged_labels_make_no_number(labels: str) -> None:
    facts = DATA.model_copy(update={"labels": labels})
    row = row_of(parts_of(), facts)
    assert (row.verdict, row.evaluation) == (Verdict.FAILED, None)
    assert "the data set fashion-mnist test is damaged" in row.reason


def test_a_run_that_lost_its_data_set_says_so() -> None:
    row = row_of(parts_of(), datasets=())
    assert (row.verdict, row.reason) == (Verdict.FAILED, "the run does not say what its data set is")


def test_classes_of_one_name_are_told_apart() -> None:
    facts = make_dataset(classes=("crane", "dog", "crane"))
    assert list(evaluated(row_of(parts_of(facts=facts), facts)).per_class) == ["crane (0)", "dog", "crane (2)"]
    assert evaluated(row_of(parts_of(facts=facts), facts)).top5 is None, "of three classes five are always right"


def with_reference(value: float, *, threshold: float | None = None, **changes: Any) -> tuple[ModelFacts, ...]:
    values = {"dataset": "fashion-mnist test", "kind": "published", "source": "PyTorch", "samples": 200} | changes
    return (
        ModelFacts(
            name="mobilenet_v2",
            weights="fashion-mnist",
            reference=Accuracy(value=value, **values),
            threshold=threshold,
        ),
    )


def test_a_drop_beyond_the_threshold_on_the_very_samples_is_a_failed_check() -> None:
    found = evaluated(row_of(parts_of(0, 1), models=with_reference(99.6)))
    assert (found.value, found.reference, found.threshold, found.drop) == (99.0, 99.6, 0.5, 0.6)
    assert found.check == (
        "99 top-1 % on fashion-mnist test is 0.6 points below the reference of 99.6, and 0.5 are allowed"
    )
    assert evaluated(row_of(parts_of(0, 1), models=with_reference(99.5))).check == ""
    assert evaluated(row_of(parts_of(), models=with_reference(97.0))).drop == -3.0


def test_a_drop_on_other_samples_must_leave_the_interval_too() -> None:
    wrong = range(20)  # 90 %, and the interval reaches to 93.4
    assert evaluated(row_of(parts_of(*wrong), models=with_reference(93.8, samples=10_000))).check == ""
    assert evaluated(row_of(parts_of(*wrong), models=with_reference(94.0, samples=10_000))).check != ""
    assert evaluated(row_of(parts_of(*wrong), models=with_reference(93.8, samples=None))).check == ""


def test_int8_is_judged_by_a_threshold_of_the_user_alone() -> None:
    assert evaluated(row_of(parts_of(*range(9)), precision="int8", models=with_reference(99.0))).check == ""
    found = evaluated(row_of(parts_of(*range(9)), precision="int8", models=with_reference(99.0, threshold=3)))
    assert (found.drop, found.threshold) == (3.5, 3.0)
    assert "3 are allowed" in found.check


def test_what_was_published_of_the_weights_on_the_same_data_set_is_a_reference() -> None:
    known = (with_reference(99.0)[0].reference, with_reference(76.0, dataset="ImageNet-1k val")[0].reference)
    model = ModelFacts(name="mobilenet_v2", weights="fashion-mnist", accuracies=tuple(a for a in known if a)[::-1])
    found = evaluated(row_of(parts_of(*range(4)), models=(model,)))
    assert (found.reference, found.drop, found.threshold, found.notes) == (99.0, 1.0, 0.5, ())
    assert found.check != ""
    other = model.model_copy(update={"accuracies": model.accuracies[:1]})
    assert evaluated(row_of(parts_of(), models=(other,))).reference is None


def test_a_reference_may_be_named_as_options_name_it() -> None:
    assert evaluated(row_of(parts_of(), models=with_reference(99.0, dataset="fashion-mnist:test"))).reference == 99.0


def test_a_data_set_prepared_in_two_ways_is_one_and_with_other_labels_another() -> None:
    other = DATA.model_copy(update={"sha256": "1" * 64, "preprocessing": "otherwise"})
    third = DATA.model_copy(update={"sha256": "2" * 64, "labels": packed((np.arange(200, dtype=np.uint32) + 1) % 10)})
    first, second, last = (evaluated(row_of(parts_of(facts=facts), facts)) for facts in (DATA, other, third))
    assert first.truth == second.truth != last.truth


@given(st.lists(st.integers(1, 199), max_size=8, unique=True), st.randoms(use_true_random=False), st.data())
def test_however_the_parts_were_cut_and_repeated_the_figures_are_those_of_all_samples(
    cuts: list[int], random: Random, data: st.DataObject
) -> None:
    scores = make_scores(DATA, range(0, 200, 7))
    bounds = [0, *sorted(cuts), 200]
    parts = [make_part(CASE, DATA, scores, a, b - a) for a, b in pairwise(bounds)]
    lost = [make_lost_part(CASE, DATA, first=first) for first in data.draw(st.lists(st.sampled_from(bounds[:-1])))]
    again = [part.model_copy(update={"attempt": 1}) for part in data.draw(st.lists(st.sampled_from(parts)))]
    told = [*parts, *lost, *again]
    random.shuffle(told)
    row = row_of(told)
    assert (row.evaluation, row.unevaluated) == (WHOLE.evaluation, "")


WHOLE = row_of([make_part(CASE, DATA, make_scores(DATA, range(0, 200, 7)), 0, 200)])


def test_a_reference_on_another_data_set_is_not_compared() -> None:
    found = evaluated(row_of(parts_of(*range(30)), models=with_reference(99.0, dataset="ImageNet-1k val")))
    assert (found.reference, found.drop, found.check) == (None, None, "")
    assert found.notes == ("its reference is 99 top-1 % on ImageNet-1k val: not compared",)


def test_segmentation_gives_the_mean_iou() -> None:
    facts = make_dataset(samples=12, classes=("sky", "tree", "never"), metric="mean IoU %", labels="")
    case = make_case(dataset=facts.sha256)
    one = np.array([[90, 10, 0], [10, 90, 0], [0, 0, 0]], np.uint32)
    confusions = np.stack([one] * 12)
    part = Evaluation(
        case_id=case.case_id,
        dataset=facts.sha256,
        first=0,
        count=12,
        started_at="2026-01-02T03:30:00Z",
        wall_ns=10**9,
        outcome="ok",
        confusion=packed(confusions),
    )
    found = evaluated(rows(evaluated_document([case], facts, [part]))[0])
    assert found.value == pytest.approx(100 * 90 / 110, abs=1e-5)
    assert found.per_class == pytest.approx({"sky": 81.818182, "tree": 81.818182})
    assert found.ci95 == pytest.approx((found.value, found.value)), "all images are alike"
    bad = part.model_copy(update={"confusion": packed(confusions[:3])})
    assert rows(evaluated_document([case], facts, [bad]))[0].verdict is Verdict.FAILED


def test_nothing_is_asked_of_a_case_without_a_data_set() -> None:
    case = make_case()
    (row,) = rows(evaluated_document([case], DATA, [], profile=ACCURACY_ONLY))
    assert (row.verdict, row.evaluation, row.asked) == (Verdict.FAILED, None, ())
