"""What this host believes of a device that tells of maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from harness.jobs.accuracy import Chunk
from harness.jobs.base import Terms
from harness.jobs.segmentation import MapFeed, Segmentation
from results.records.packed import unpacked
from tests.harness.jobs.test_accuracy import DONE, LOADED, heard, text
from tests.harness.link.test_protocol import HELLO, IMPORTED, MODEL
from tests.rigs.images import job

CHUNKS = [
    Chunk(PurePosixPath("a"), "a" * 64, 0, 4, (PurePosixPath("am"), "c" * 64)),
    Chunk(PurePosixPath("b"), "b" * 64, 4, 4, (PurePosixPath("bm"), "d" * 64)),
]
FEED = MapFeed(np.zeros((256, 3), np.float32), 0, 3, class_axis=3, pixels=50)
JOB = Segmentation(**vars(job(MODEL, CHUNKS, "fake", feed=FEED)))
COUNTS = np.random.default_rng(0).integers(0, 5, (8, 3, 3))


def part(first: int, count: int, **changes: Any) -> dict[str, Any]:
    counts = text(COUNTS[first : first + count], "<u4")
    times = {"wall_ns": 100, "infer_ns": 50}
    return {"event": "part", "first": first, "count": count, **times, "confusion": counts, **changes}


def test_each_part_is_a_record_with_its_counts() -> None:
    first, second = heard([HELLO, IMPORTED, LOADED, part(0, 3), part(3, 5), DONE], JOB)
    assert [(record.first, record.count, record.outcome) for record in (first, second)] == [(0, 3, "ok"), (3, 5, "ok")]
    assert np.array_equal(unpacked(second.confusion, "uint32", (5, 3, 3)), COUNTS[3:])
    assert (second.top, second.confidence, second.logits, second.infer_ns) == ("", "", "", 50)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confusion": text(COUNTS[:2], "<u4")}, "an array is not <u4 of the shape"),
        ({"confusion": "!"}, "an array is not <u4"),
        ({"confusion": text(np.full((3, 3, 3), 6), "<u4")}, "54 pixels of an image are told of, and it has 50"),
        ({"confusion": text(np.full((3, 3, 3), 2**32 - 1), "<u4")}, "pixels of an image are told of"),
        ({"infer_ns": 101}, "more than have passed"),
    ],
)
def test_counts_that_cannot_be_true_fail(changes: dict[str, Any], reason: str) -> None:
    (record,) = heard([HELLO, IMPORTED, LOADED, {**part(0, 3), **changes}], JOB)
    assert (record.outcome, record.cause) == ("failed", "implausible")
    assert reason in record.reason


def test_the_request_names_the_masks_of_the_chunks_that_are_needed() -> None:
    request = replace(JOB, first=5, count=3).request(Terms(60.0))
    assert [chunk["masks"] for chunk in request.chunks] == [{"path": "bm", "sha256": "d" * 64}]
    assert (request.class_axis, request.keep, request.classes) == (3, 0, 3)


def test_parts_are_bounded_by_the_square_of_the_classes() -> None:
    assert FEED.part_samples == 512
    assert replace(FEED, classes=150).part_samples == 23
    assert replace(FEED, classes=100_000).part_samples == 1
    assert JOB.max_bytes > len(str(part(0, 8)))
