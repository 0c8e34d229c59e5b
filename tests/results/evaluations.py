"""Synthetic evaluations: a data set, and what cases answer to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from results.records import Case, DatasetFacts, Evaluation, Profile, RunDocument, packed
from tests.results.factory import STANDARD, make_document

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
ACCURACY_ONLY: Profile = STANDARD.model_copy(update={"name": "accuracy", "restarts": 0})


def make_dataset(samples: int = 200, total: int | None = None, **changes: Any) -> DatasetFacts:
    """A data set whose samples have the classes 0, 1, … 9, 0, 1, …"""
    classes = changes.pop("classes", CLASSES)
    labels = np.arange(samples, dtype=np.uint32) % len(classes)
    values: dict[str, Any] = {"name": "fashion-mnist", "split": "test", "labels": packed(labels)} | changes
    sha256 = hashlib.sha256(repr((sorted(values.items()), classes)).encode()).hexdigest()
    total = samples if total is None else total
    return DatasetFacts(**{"sha256": sha256, "classes": classes, "total": total, "samples": samples} | values)


def make_scores(facts: DatasetFacts, wrong: Sequence[int] = (), noise: float = 0.1, seed: int = 0) -> np.ndarray:
    """Outputs (samples x classes) that name the true class of every sample but those at `wrong`."""
    rng = np.random.default_rng(seed)
    classes = len(facts.classes)
    labels = np.arange(facts.samples) % classes
    scores = rng.normal(0, noise, (facts.samples, classes)).astype(np.float32)
    named = labels.copy()
    named[list(wrong)] = (labels[list(wrong)] + 1) % classes
    scores[np.arange(facts.samples), named] += 4
    return scores


def make_parts(
    case: Case, facts: DatasetFacts, scores: np.ndarray, size: int = 64, keep: int = 100, **changes: Any
) -> list[Evaluation]:
    """The answers of a case, part by part."""
    return [
        make_part(case, facts, scores, first, min(size, facts.samples - first), keep, **changes)
        for first in range(0, facts.samples, size)
    ]


def make_part(
    case: Case, facts: DatasetFacts, scores: np.ndarray, first: int, count: int, keep: int = 100, **changes: Any
) -> Evaluation:
    own = scores[first : first + count]
    top = np.argsort(-own, axis=1, kind="stable")[:, :5].astype(np.uint32)
    share = np.exp(own - own.max(axis=1, keepdims=True))
    confidence = (1 / share.sum(axis=1)).astype(np.float32)
    kept = max(0, min(count, keep - first))
    values: dict[str, Any] = {
        "started_at": "2026-01-02T03:30:00Z",
        "wall_ns": count * 2_000_000,
        "infer_ns": count * 1_000_000,
        "outcome": "ok",
        "agent": {"backend_version": "1.31.1"},
        "actual": {"threads": case.threads},
        "top": packed(top),
        "confidence": packed(confidence),
        "logits_count": kept,
        "logits": packed(own[:kept]) if kept else "",
    } | changes
    return Evaluation(case_id=case.case_id, dataset=facts.sha256, first=first, count=count, **values)


def make_lost_part(case: Case, facts: DatasetFacts, first: int = 0, **changes: Any) -> Evaluation:
    values: dict[str, Any] = {"outcome": "failed", "cause": "ended", "reason": "exit code 137", "wall_ns": 10**9}
    values = {"started_at": "2026-01-02T03:30:00Z", "count": facts.samples - first} | values | changes
    return Evaluation(case_id=case.case_id, dataset=facts.sha256, first=first, **values)


def evaluated_document(
    cases: Sequence[Case], facts: DatasetFacts, parts: Sequence[Evaluation], **changes: Any
) -> RunDocument:
    """A run that measured accuracy alone, unless it says otherwise."""
    restarts = changes.pop("restarts", [])
    given = {"profile": ACCURACY_ONLY, "datasets": (facts,)} | changes
    return make_document(list(cases), list(restarts), **given).model_copy(update={"evaluations": tuple(parts)})
