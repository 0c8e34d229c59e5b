"""What a row says of the file that ran, of its batch, and of what was not checked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.judge.summary import rows
from results.judge.telling import computed_in
from results.records import MAX_TEXT, ArtifactFacts, Calibration, InputSpec, ModelFacts, Restart, Row, shortened
from tests.results.factory import make_case, make_document, make_restart

CASE = make_case(io_sha256="1" * 64)


def facts(**changes: Any) -> ArtifactFacts:
    return ArtifactFacts(sha256=CASE.artifact_sha256, io_sha256=CASE.io_sha256, **changes)


def row(file: ArtifactFacts | None, *restarts: dict[str, Any]) -> Row:
    made: list[Restart] = [make_restart(CASE, n, **changes) for n, changes in enumerate(restarts or [{}] * 5)]
    (found,) = rows(make_document([CASE], made, artifacts=(file,) if file else ()))
    return found


def test_the_facts_of_the_very_file_stand_in_the_row() -> None:
    spec = InputSpec(name="x", dtype="float32", shape=(8, 3, 32, 32), dims=("N", 3, "H", "W"), made_up=("values",))
    other = ArtifactFacts(sha256=CASE.artifact_sha256, io_sha256="2" * 64, batch=1)
    (found,) = rows(
        make_document(
            [CASE],
            [make_restart(CASE, 0, median_ms=20)],
            artifacts=(other, facts(inputs=(spec,), batch=8, signature="encode", shapes_fixed="in a copy")),
        )
    )
    assert (found.inputs, found.batch, found.signature, found.shapes_fixed) == ((spec,), 8, "encode", "in a copy")
    assert found.median_ms is not None
    assert found.throughput_per_s == pytest.approx(8000 / found.median_ms)


@pytest.mark.parametrize(
    ("weights", "name", "told"),
    [
        ("trained on fashion-mnist", "synthetic natural images", True),
        ("random", "synthetic natural images", False),
        ("trained on fashion-mnist", "fashion-mnist, train", False),
    ],
)
def test_trained_weights_that_were_calibrated_on_synthetic_images_are_told(weights: str, name: str, told: bool) -> None:
    file = facts(calibration=Calibration(name=name, sha256="3" * 64, samples=64))
    models = (ModelFacts(name=CASE.model, weights=weights),)
    (found,) = rows(make_document([CASE], [make_restart(CASE, 0)], artifacts=(file,), models=models))
    assert [note for note in found.notes if "--calibration" in note] == (
        [f"calibrated on {name}: give images like those it was trained on with --calibration"] if told else []
    )


def test_without_a_batch_there_is_no_throughput() -> None:
    assert row(facts()).throughput_per_s is None
    assert row(None).inputs == ()


def test_the_least_of_the_restarts_is_told() -> None:
    found = row(facts(), *({"snr_db": snr, "top1_agreement": 1 - snr / 1000} for snr in (60.0, 41.5, 90.0)))
    assert (found.snr_db, found.top1_agreement) == (41.5, pytest.approx(0.91))
    assert row(facts()).snr_db is None


@pytest.mark.parametrize(
    ("file", "restarts", "words"),
    [
        (facts(), [{}] * 5, ""),
        (facts(unverified="output y differs from run to run"), [{}] * 5, ""),
        (facts(unverified="output y differs from run to run"), [{"verified": False}] * 5, "output y differs"),
        (None, [{"verified": False}] * 5, "no reference"),
        (facts(), [{"verified": False, "unverified": "y holds NaN"}] * 5, "y holds NaN"),
        (facts(), [{}] * 3 + [{"verified": False, "unverified": "y"}] * 2, "y (in 2 of 5 restarts)"),
        (facts(), [{"verified": False, "actual": {"aggregates": "one number"}}] * 5, "gives no output"),
    ],
)
def test_why_an_output_was_not_checked(file: ArtifactFacts | None, restarts: list[dict[str, Any]], words: str) -> None:
    found = row(file, *restarts)
    assert found.verified is (not words)
    assert words in found.unverified
    assert bool(words) == bool(found.unverified)


@pytest.mark.parametrize(
    ("actual", "words"),
    [
        ({"compute": {"fp32": 3, "int8": 40}}, "int8 + fp32"),
        ({"compute": {"fp32": 3, "int8": 0}, "precision": "f16"}, "fp32"),
        ({"compute": {}, "precision": "f16"}, "fp16"),
        ({"precision": "as in the file"}, ""),
        ({"precision": ["f16"]}, ""),
        ({"compute": {"fp32": "many", "int8": True}}, ""),
        ({}, ""),
    ],
)
def test_the_types_that_the_runtime_computes_in(actual: dict[str, Any], words: str) -> None:
    assert computed_in(actual) == words


@given(st.dictionaries(st.text(max_size=2000), st.integers(-5, 10**9), max_size=8))
def test_what_a_device_says_of_them_is_bounded(told: dict[str, int]) -> None:
    assert len(computed_in({"compute": told})) <= MAX_TEXT


@pytest.mark.parametrize(("allowed", "told"), [(1, True), (4, False), (8, False), (0, False), ("1", False)])
def test_more_threads_than_cores_are_told(allowed: object, told: bool) -> None:
    found = row(facts(notes=("a note",)), *[{"actual": {"cores_allowed": allowed}}] * 5)
    assert found.notes == ("a note", *(["4 threads on 1 core: they take turns"] if told else []))


@given(st.text(max_size=3 * MAX_TEXT))
def test_of_a_long_reason_the_end_stays(text: str) -> None:
    kept = shortened(text)
    assert len(kept) <= MAX_TEXT
    assert kept[-100:] == text[-100:]
    assert kept == text or "…" in kept
