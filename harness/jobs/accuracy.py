"""Predictions for the samples of a data set: told part by part, each an `Evaluation` as soon as it has come."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.agent.jobs import accuracy as device_side
from harness.errors import AgentError
from harness.jobs.base import MAX_TOTAL_S, Ended, Event, Failure, Grammar, Hello, Job, Step, Terms
from harness.jobs.latency import Target, failed
from harness.jobs.model import Imported, Loaded
from results.records import Evaluation, Nanoseconds, shortened
from results.records.evaluation import TOP
from results.records.packed import packed

PART_SAMPLES = 512
PART_S = 5.0
# Of the scores that one part, and all parts together, tell of.
PART_NUMBERS = 1 << 19
_KEPT_NUMBERS = 1 << 21
KEPT_SAMPLES = 1024
# What a device may tell beyond the time that this host saw pass: clocks of two machines.
_UNSEEN_NS = 10**8
# Of one event besides its arrays, and of each sample in them: five classes and a confidence, as base64.
_EVENT_BYTES, _SAMPLE_BYTES = 1 << 10, 64

Digits = Annotated[str, Field(max_length=32 << 20)]


class Told(Event):
    """Something of the samples `first` … `first + count - 1`; arrays are base64 of little-endian elements."""

    first: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1, le=1 << 20)]
    wall_ns: Nanoseconds
    infer_ns: Nanoseconds


class Part(Told):
    """What a model makes of some samples."""

    event: Literal["part"]
    top: Digits
    confidence: Digits
    logits_count: Annotated[int, Field(ge=0, le=KEPT_SAMPLES)]
    logits: Digits
    probabilities: bool
    nonfinite: Annotated[int, Field(ge=0)]


class Done(Event):
    """All samples were told of."""

    event: Literal["done"]


@dataclass(frozen=True)
class Feed:
    """How prepared images become the input of a model, and where its scores stand.

    `table` is what a byte becomes in each channel, (256, channels) in the type of the input. `output` is the position
    of the output with the scores of `classes` classes, `scale` and `zero_point` those of a quantized one. `batch` is
    the number of images in one inference.
    """

    table: NDArray[Any]
    output: int
    classes: int
    batch: int = 1
    scale: float | None = None
    zero_point: int = 0

    @property
    def keep(self) -> int:
        """The scores of samples before this one are kept."""
        return min(KEPT_SAMPLES, _KEPT_NUMBERS // self.classes)

    @property
    def part_samples(self) -> int:
        """Of how many samples one part tells at most, but for the rest of a batch."""
        return max(1, min(PART_SAMPLES, PART_NUMBERS // self.classes))


@dataclass(frozen=True)
class Chunk:
    """A file of a prepared data set on a device: the samples from `first` on."""

    path: PurePosixPath
    sha256: str
    first: int
    count: int
    masks: tuple[PurePosixPath, str] | None = None
    """The file with their masks, and its SHA-256, of a data set for segmentation."""


@dataclass(frozen=True)
class Accuracy(Job[Evaluation | None]):
    """Evaluate the samples `first` … `first + count - 1` of the data set `dataset`, which are in `chunks`.

    Its record says why it came to no end, None where it did; what was told before is kept by `Account`.
    """

    name = "accuracy"
    part: ClassVar[type[Told]] = Part

    target: Target
    feed: Feed
    dataset: str
    chunks: Sequence[Chunk]
    first: int
    count: int
    attempt: int = 0

    @property
    def grammar(self) -> Grammar:
        evaluating = Step("evaluating", (self.part, Done), PART_S)
        return {
            Hello: Step("importing the runtime", (Imported,)),
            Imported: Step("loading the model", (Loaded,)),
            Loaded: evaluating,
            self.part: evaluating,
        }

    @property
    def max_lines(self) -> int:
        """A slow device tells of one sample at a time."""
        return 8 + self.count

    @property
    def max_bytes(self) -> int:
        kept = max(0, min(self.count, self.feed.keep - self.first))
        return (1 << 20) + self.count * (_EVENT_BYTES + _SAMPLE_BYTES) + 6 * kept * self.feed.classes

    def total_s(self, patience_s: float) -> float:
        return min(MAX_TOTAL_S, super().total_s(patience_s) + self.count * (PART_S + patience_s))

    def request(self, terms: Terms) -> device_side.Request:
        end = self.first + self.count
        chunks = [chunk for chunk in self.chunks if chunk.first < end and self.first < chunk.first + chunk.count]
        table = self.feed.table
        return device_side.Request(
            **self.target.model.request(
                self.target.case.backend, self.target.options, terms, self.total_s(terms.patience_s)
            ),
            chunks=[
                {"path": str(chunk.path), "sha256": chunk.sha256, "first": chunk.first, "count": chunk.count}
                for chunk in chunks
            ],
            first=self.first,
            count=self.count,
            table=base64.b64encode(table.astype(table.dtype.newbyteorder("<")).tobytes()).decode(),
            output=self.feed.output,
            scale=self.feed.scale,
            zero_point=self.feed.zero_point,
            classes=self.feed.classes,
            keep=self.feed.keep,
            part_samples=self.feed.part_samples,
            part_s=PART_S,
        )

    def read(self, part: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a part says, as fields of a record, and what to add to what runs. Raises AgentError."""
        kept = max(0, min(part.count, self.feed.keep - part.first))
        if part.logits_count != kept:
            raise AgentError(f"scores of {part.logits_count} samples are told, asked for were {kept}")
        top = array_of(part.top, "<u4", (part.count, min(TOP, self.feed.classes)))
        confidence = array_of(part.confidence, "<f4", (part.count,))
        logits = array_of(part.logits, "<f4", (kept, self.feed.classes))
        _check(top, confidence, logits, part.nonfinite)
        found = {
            "top": packed(top.astype(np.uint32)),
            "confidence": packed(confidence.astype(np.float32)),
            "logits_count": kept,
            "logits": packed(logits.astype(np.float32)) if kept else "",
        }
        nonfinite = {"nonfinite": part.nonfinite} if part.nonfinite else {}
        return found, {"scores": "probabilities" if part.probabilities else "logits", **nonfinite}

    def record(self, events: Sequence[Event], ended: Ended) -> Evaluation | None:
        """Return the failure that it ended with, if it did."""
        account = Account(self)
        for event in events:
            account.take(event)
        return account.end(events[-1], ended)


@dataclass
class Account:
    """Takes in the events of one process as they come, and makes of each part a record that is believed or not."""

    job: Accuracy
    next: int = field(init=False)
    _agent: dict[str, str] = field(default_factory=dict, init=False)
    _actual: dict[str, Any] = field(default_factory=dict, init=False)
    _told_ns: int = field(default=0, init=False)
    _begun_ns: int = field(default_factory=time.monotonic_ns, init=False)

    def __post_init__(self) -> None:
        self.next = self.job.first

    def take(self, event: Event) -> Evaluation | None:
        """Return the record of a part, `failed` for one that cannot be true; None for any other event."""
        match event:
            case Hello():
                self._agent = {
                    key: str(value) for key, value in event.model_dump(exclude={"event", "protocol"}).items()
                }
            case Imported():
                self._agent = {**self._agent, "backend_version": event.backend_version}
            case Loaded():
                self._actual = event.actual
            case Told():
                try:
                    return self._part(event)
                except AgentError as exc:
                    return self._failed({"outcome": "failed", "cause": "implausible", "reason": shortened(str(exc))})
        return None

    def end(self, last: Event, ended: Ended) -> Evaluation | None:
        """Return why not every sample was evaluated, None if all were."""
        if isinstance(last, Failure):
            return self._failed(failed(last, ended))
        if self.next < self.job.first + self.job.count:
            reason = f"the agent ended before sample {self.next}, as if it were done"
            return self._failed({"outcome": "failed", "cause": "malformed", "reason": reason})
        return None

    def _part(self, part: Told) -> Evaluation:
        """Raises AgentError for what cannot be true."""
        job, feed = self.job, self.job.feed
        left = job.first + job.count - self.next
        if part.first != self.next or part.count > min(left, feed.part_samples + feed.batch - 1):
            raise AgentError(f"{part.count} samples from {part.first} on are told of where {self.next} was due")
        self._told_ns += part.wall_ns
        seen_ns = time.monotonic_ns() - self._begun_ns
        if part.infer_ns > part.wall_ns or self._told_ns > 1.05 * seen_ns + _UNSEEN_NS:
            raise AgentError(f"a part tells of {part.wall_ns / 1e9:.3g} s, more than have passed")
        found, actual = job.read(part)
        self.next += part.count
        return Evaluation(
            **self._fields(),
            first=part.first,
            count=part.count,
            wall_ns=part.wall_ns,
            outcome="ok",
            infer_ns=part.infer_ns,
            actual={**self._actual, **actual},
            **found,
        )

    def _failed(self, fields: dict[str, Any]) -> Evaluation:
        left = self.job.first + self.job.count - self.next
        return Evaluation(**self._fields(), first=self.next, count=left, wall_ns=0, actual=self._actual, **fields)

    def _fields(self) -> dict[str, Any]:
        return {
            "case_id": self.job.target.case.case_id,
            "dataset": self.job.dataset,
            "attempt": self.job.attempt,
            "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "agent": self._agent,
        }


def array_of(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return an array as a device tells it. Raises AgentError for a text that holds anything else."""
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape)
    except (ValueError, binascii.Error) as exc:
        raise AgentError(f"an array is not {dtype} of the shape {shape}") from exc


def _check(top: NDArray[Any], confidence: NDArray[Any], logits: NDArray[Any], nonfinite: int) -> None:
    """Raise AgentError for predictions that cannot be true; those of the kept scores are made again here."""
    classes = logits.shape[1]
    unanswered = top[:, 0] == classes
    if np.count_nonzero(unanswered) != nonfinite or not (top[unanswered] == classes).all():
        raise AgentError("it is not said of every sample whether it has an answer")
    ordered = np.sort(top[~unanswered], axis=1)
    if ordered.size and (ordered.max() >= classes or (np.diff(ordered.astype(np.int64), axis=1) == 0).any()):
        raise AgentError(f"the best classes of a sample are not different ones of {classes}")
    with np.errstate(invalid="ignore"):
        if not ((confidence >= 0) & (confidence <= 1.0001)).all():
            raise AgentError("a confidence is no probability")
    answers = device_side.answered(logits)
    again = np.where(answers[:, None], device_side.best(logits), classes)
    if not np.array_equal(again, top[: len(logits)]):
        raise AgentError("the best classes of a sample are not those of its scores")
