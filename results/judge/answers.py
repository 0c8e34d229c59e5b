"""What a case answered to the samples of a data set: its parts put together, those that cannot be true left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.judge.accuracy import Labels, Right, among_best
from results.records import TOP, DatasetFacts, Evaluation, unpacked

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """Answers to the samples at `places` of a data set, in its order.

    `top` are the best classes of each (samples x k), the number of classes itself where the model gave no answer (NaN
    or infinities in its output). `confidence` is None where it makes no sense, `logits` are the outputs of the first
    samples at `logit_places`. `confusions` are, for segmentation, the pixels of each sample by true class and class
    taken for it (samples x classes x classes); nothing else but `places` is there then. `parts` are the records behind
    it.
    """

    facts: DatasetFacts
    parts: tuple[Evaluation, ...]
    places: Labels
    labels: Labels
    top: Labels
    confidence: Floats | None
    logit_places: Labels
    logits: Floats
    confusions: NDArray[np.uint32] | None = None

    @property
    def samples(self) -> int:
        return int(self.places.size)

    @property
    def right(self) -> Right:
        """Whether the best class is the true one."""
        return among_best(self.labels, self.top, 1)

    @property
    def unanswered(self) -> int:
        """How many samples have no answer; they count as wrong."""
        return int((self.top[:, 0] == len(self.facts.classes)).sum()) if self.top.size else 0


@dataclass(frozen=True)
class Gathered:
    """The answers of a case, None without any, and why they are not those to all samples that were asked for."""

    answers: Answers | None
    problems: tuple[str, ...] = ()
    lost: Evaluation | None = field(default=None, repr=False)

    @property
    def has(self) -> int:
        return self.answers.samples if self.answers is not None else 0


@dataclass(frozen=True)
class _Part:
    record: Evaluation
    top: Labels
    confidence: Floats
    logits: Floats
    confusion: NDArray[np.uint32] | None


def labels_of(facts: DatasetFacts) -> Labels:
    """The true classes of the samples in their order, none for segmentation. Raises ValueError for damaged ones."""
    if facts.metric == "mean IoU %":
        return np.empty(0, np.int64)
    labels = unpacked(facts.labels, "uint32", (facts.samples,)).astype(np.int64)
    if labels.size and labels.max() >= len(facts.classes):
        raise ValueError(f"a label is {labels.max()}, and there are {len(facts.classes)} classes")
    return labels


def gathered(facts: DatasetFacts, labels: Labels, records: Iterable[Evaluation]) -> Gathered:
    """Put the parts of one case together: of each the last good attempt.

    A part that is not what it claims to be brings nothing, and says why in `problems`. `lost` is the last record that
    says why a part could not be evaluated.
    """
    problems: dict[str, None] = {}
    parts: dict[int, _Part] = {}
    lost = None
    for record in sorted(records, key=lambda record: record.attempt):
        if record.outcome != "ok":
            lost = record
            continue
        try:
            parts[record.first] = _read(record, facts)
        except ValueError as exc:
            problems[f"samples {record.first} to {record.first + record.count - 1}: {exc}"] = None
    chosen: list[_Part] = []
    end = 0
    for first in sorted(parts):
        if first >= end:  # else a device told of the same samples in two ways
            chosen.append(parts[first])
            end = first + parts[first].record.count
    return Gathered(_together(facts, labels, chosen) if chosen else None, tuple(problems), lost)


def _read(record: Evaluation, facts: DatasetFacts) -> _Part:
    """Raises ValueError for a part that cannot be true."""
    classes, count = len(facts.classes), record.count
    if count < 1 or record.first + count > facts.samples:
        raise ValueError(f"the data set has {facts.samples} samples")
    if facts.metric == "mean IoU %":
        empty: Any = np.empty(0)
        return _Part(record, empty, empty, empty, unpacked(record.confusion, "uint32", (count, classes, classes)))
    top = unpacked(record.top, "uint32", (count, min(TOP, classes))).astype(np.int64)
    if top.max() > classes:
        raise ValueError(f"class {top.max()} is named, and there are {classes}")
    ordered = np.sort(top[top[:, 0] != classes], axis=1)
    if (ordered == classes).any() or (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("the best classes of a sample are not different ones")
    if record.logits_count > count:
        raise ValueError(f"outputs of {record.logits_count} of {count} samples")
    confidence = unpacked(record.confidence, "float32", (count,))
    kept = record.logits_count
    logits = unpacked(record.logits, "float32", (kept, classes)) if kept else np.empty((0, classes), np.float32)
    return _Part(record, top, confidence, logits, None)


def _together(facts: DatasetFacts, labels: Labels, parts: Sequence[_Part]) -> Answers:
    spans = [np.arange(part.record.first, part.record.first + part.record.count) for part in parts]
    places = np.concatenate(spans)
    records = tuple(part.record for part in parts)
    if facts.metric == "mean IoU %":
        confusions = np.concatenate([part.confusion for part in parts if part.confusion is not None])
        nothing: Any = np.empty(0, np.int64)
        return Answers(facts, records, places, nothing, nothing, None, nothing, np.empty(0, np.float32), confusions)
    confidence = np.concatenate([part.confidence for part in parts])
    is_share = bool(((confidence >= 0) & (confidence <= 1.0001)).all())
    return Answers(
        facts=facts,
        parts=records,
        places=places,
        labels=labels[places],
        top=np.concatenate([part.top for part in parts]),
        confidence=np.minimum(confidence, 1) if is_share else None,
        logit_places=np.concatenate([span[: len(part.logits)] for span, part in zip(spans, parts, strict=True)]),
        logits=np.concatenate([part.logits for part in parts]),
    )
