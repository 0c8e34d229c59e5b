"""What this host believes of a device that tells what a model predicts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from harness.agent.jobs import accuracy as device_side
from harness.jobs import accuracy, conversation
from harness.jobs.accuracy import Account, Accuracy, Chunk, Feed
from harness.jobs.base import Ended, Terms
from harness.transports import Completed
from harness.transports.simulated import SimulatedTransport
from results.records import Evaluation
from results.records.evaluation import MAX_CLASSES, TOP
from results.records.packed import unpacked
from tests.harness.link.test_protocol import HELLO, IMPORTED, MODEL
from tests.rigs.images import job

CHUNKS = [Chunk(PurePosixPath("a"), "a" * 64, 0, 6), Chunk(PurePosixPath("b"), "b" * 64, 6, 6)]
JOB = job(MODEL, CHUNKS, "fake", feed=Feed(np.zeros((256, 3), np.float32), 0, 7))
LOADED = {"event": "loaded", "load_ns": 7, "actual": {"threads": 1}}
DONE = {"event": "done"}
SCORES = np.random.default_rng(0).standard_normal((12, 7)).astype(np.float32)


def text(array: Any, dtype: str) -> str:
    return base64.b64encode(np.asarray(array).astype(dtype).tobytes()).decode()


def part(first: int, count: int, **changes: Any) -> dict[str, Any]:
    scores = SCORES[first : first + count]
    return {
        "event": "part",
        "first": first,
        "count": count,
        "wall_ns": 100,
        "infer_ns": 50,
        "top": text(device_side.best(scores), "<u4"),
        "confidence": text(device_side.confidence(scores, is_probabilities=False), "<f4"),
        "logits_count": count,
        "logits": text(scores, "<f4"),
        "probabilities": False,
        "nonfinite": 0,
        **changes,
    }


GOOD = [HELLO, IMPORTED, LOADED, part(0, 5), part(5, 7), DONE]


def heard(lines: Sequence[dict[str, Any] | bytes], asked: Accuracy = JOB) -> list[Evaluation]:
    """What is kept of a conversation, as a run keeps it."""

    def handler(_command: Sequence[str], _stdin: bytes) -> Iterator[bytes | None]:
        yield from (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)

    account, found = Account(asked), []
    last = None
    for last in conversation.listen(SimulatedTransport(handler).stream([], stdin=b""), asked, 1.0):
        record = account.take(last)
        if record is not None:
            found.append(record)
            if record.outcome != "ok":
                return found
    assert last is not None
    end = account.end(last, Ended(Completed(0, b"", b""), "python3"))
    return [*found, *([] if end is None else [end])]


def test_each_part_is_a_record_of_its_own() -> None:
    first, second = heard(GOOD)
    assert [(record.first, record.count, record.outcome) for record in (first, second)] == [(0, 5, "ok"), (5, 7, "ok")]
    assert (first.case_id, first.dataset, first.attempt) == ("0" * 16, "d" * 64, 0)
    assert first.agent["backend_version"] == "fake 1"
    assert first.actual == {"threads": 1, "scores": "logits"}
    np.testing.assert_array_equal(unpacked(second.top, "uint32", (7, TOP)), device_side.best(SCORES[5:]))
    np.testing.assert_array_equal(unpacked(second.logits, "float32", (7, 7)), SCORES[5:])


def test_what_was_told_before_a_failure_is_kept() -> None:
    error = {"event": "error", "phase": "evaluation", "kind": "memory", "message": "out of memory"}
    kept, lost = heard([*GOOD[:4], error])
    assert (kept.outcome, kept.first, kept.count) == ("ok", 0, 5)
    assert (lost.outcome, lost.cause, lost.first, lost.count) == ("failed", "memory", 5, 7)
    assert heard([*GOOD[:4]])[-1].cause == "ended"
    assert [record.outcome for record in heard([HELLO, {**error, "kind": "unsupported"}])] == ["unsupported"]


@pytest.mark.parametrize(
    "changed",
    [
        {"first": 1},
        {"count": 4},
        {"count": 13},
        {"wall_ns": 10**12},
        {"infer_ns": 101},
        {"top": text(np.zeros((5, TOP)), "<u4")},
        {"top": text(np.full((5, TOP), 7), "<u4")},
        {"top": text(np.arange(25).reshape(5, TOP), "<u4")},
        {"top": text(device_side.best(SCORES[5:10]), "<u4")},
        {"top": "AAAA"},
        {"top": "no base64"},
        {"confidence": text([0.1, 0.2, np.nan, 0.3, 0.4], "<f4")},
        {"confidence": text([0.1, 0.2, -1, 0.3, 0.4], "<f4")},
        {"confidence": text([0.1, 0.2, 9, 0.3, 0.4], "<f4")},
        {"logits_count": 0, "logits": ""},
        {"logits": text(SCORES[:4], "<f4")},
        {"logits": text(SCORES[5:10], "<f4")},
        {"nonfinite": 1},
    ],
)
def test_what_cannot_be_true_is_no_result(changed: dict[str, Any]) -> None:
    (refused,) = heard([*GOOD[:3], {**part(0, 5), **changed}])
    assert (refused.outcome, refused.cause) == ("failed", "implausible"), refused
    assert (refused.first, refused.count, refused.top) == (0, 12, "")


@pytest.mark.parametrize(
    "lines",
    [
        [HELLO, part(0, 5)],
        [*GOOD[:3], {**part(0, 5), "count": "many"}],
        [*GOOD[:3], part(0, 5, confidence=None)],
        [*GOOD[:3], b"{"],
        [*GOOD[:3], DONE],
        [*GOOD[:4], DONE],
        [*GOOD[:4], LOADED],
        [*GOOD[:3], *[part(0, 1)] * 30],
    ],
)
def test_what_the_protocol_does_not_allow_is_a_failure(lines: list[dict[str, Any]]) -> None:
    last = heard(lines)[-1]
    assert last.outcome == "failed"
    assert last.cause in ("malformed", "implausible")


def test_a_sample_without_an_answer_is_no_class() -> None:
    scores = SCORES[:5].copy()
    scores[2, 3] = np.nan
    top = device_side.best(scores)
    top[2] = 7
    confident = [0.5, 0.5, 0, 0.5, 0.5]
    told = part(0, 5, top=text(top, "<u4"), confidence=text(confident, "<f4"), logits=text(scores, "<f4"), nonfinite=1)
    kept = heard([*GOOD[:3], told, part(5, 7), DONE])[0]
    assert (kept.outcome, kept.actual["nonfinite"]) == ("ok", 1)
    assert (unpacked(kept.top, "uint32", (5, TOP))[2] == 7).all()


def test_as_many_lines_are_read_as_there_are_samples() -> None:
    many = replace(JOB, count=500, chunks=[Chunk(PurePosixPath("a"), "a" * 64, 0, 500)])
    scores = np.tile(SCORES, (50, 1))
    lines = [{**part(0, 1), "first": place, **_of(scores[place : place + 1])} for place in range(500)]
    assert [record.outcome for record in heard([HELLO, IMPORTED, LOADED, *lines, DONE], many)] == ["ok"] * 500


def _of(scores: Any) -> dict[str, Any]:
    return {"top": text(device_side.best(scores), "<u4"), "logits": text(scores, "<f4")}


def test_only_the_chunks_with_asked_samples_are_asked_for() -> None:
    asked = replace(JOB, first=7, count=2).request(Terms(1.0))
    assert [chunk["path"] for chunk in asked.chunks] == ["b"]


def test_what_is_kept_of_a_part_fits_into_a_line() -> None:
    for classes in (2, 1000, 21_843, MAX_CLASSES):
        feed = Feed(np.zeros((256, 3), np.float32), 0, classes)
        assert feed.part_samples >= 1
        assert feed.part_samples * classes * 4 * 4 / 3 < 16 << 20
        assert 1 <= feed.keep <= accuracy.KEPT_SAMPLES
    assert device_side.TOP == TOP
