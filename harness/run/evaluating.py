"""The accuracy of one device's cases, measured one after another once their latencies are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from harness.errors import TransportError
from harness.executors.base import Stop
from harness.jobs.accuracy import Account, Accuracy
from harness.jobs.base import Event
from harness.jobs.conversation import is_greeted
from harness.jobs.latency import Target
from harness.link.ready import File, ReadyDevice
from harness.run.coverage import Coverage
from harness.run.datasets import PreparedSet
from models.artifacts import Artifact
from results.records import Case, Evaluation, shortened

# A case during whose evaluation the device went away this often without a part in between is left for `--resume`.
LOSSES = 3


@dataclass(frozen=True)
class Evaluating:
    """How far the evaluation of a case has come."""

    case: Case
    done: int
    samples: int
    images_per_s: float | None = None


@dataclass
class Evaluator:
    """Evaluates cases on a device that is ready; `emit` returns when a part is written down."""

    session: ReadyDevice
    root: PurePosixPath
    sets: Mapping[str, PreparedSet]
    coverage: Coverage
    emit: Callable[[Evaluation | Evaluating], None]
    stop: Stop
    _losses: int = field(default=0, init=False)

    def evaluate(self, target: Target, artifact: Artifact, files: list[File]) -> None:
        """Evaluate what is missing of a case, again from where it failed; damaged `files` are pushed again first.

        Raises TransportError when the device stays away.
        """
        case, prepared = target.case, self.sets[str(target.case.dataset)]
        self._losses = 0
        self.emit(Evaluating(case, self.coverage.evaluated(case.case_id), prepared.samples))
        while (gap := self.coverage.gap(case.case_id, prepared.samples)) and not self.stop.is_set():
            attempt = self.coverage.failed.get((case.case_id, gap[0]), 0)
            job = prepared.job(target, artifact, self.root, gap, attempt)
            try:
                failure = self._carry_out(job)
            except TransportError as exc:
                if self.stop.is_set() or not self._may_go_on(case, prepared, exc):
                    return
                continue
            if failure is None or self.stop.is_set():
                continue
            self._record(failure)
            if failure.cause == "damaged":
                with suppress(TransportError):
                    for file in [*files, *prepared.files(self.root)]:
                        self.session.agent.transport.push(file.source, file.path, file.sha256)

    def _may_go_on(self, case: Case, prepared: PreparedSet, lost: TransportError) -> bool:
        """Make the device ready again. Raises TransportError when it stays away."""
        self._losses += 1
        is_left = self._losses >= LOSSES
        if is_left:
            reason = f"the device went away {LOSSES} times while this was evaluated; at last: {lost}"
            first, count = self.coverage.gap(case.case_id, prepared.samples) or (0, 0)
            self._record(offline(case, first, count, TransportError(reason)))
        self.session.reopen(lost)
        return not is_left

    def _carry_out(self, job: Accuracy) -> Evaluation | None:
        """Write down part after part; return the failure that ended it. Raises TransportError."""
        self.session.check()
        events, failure = self._hear(job)
        if not is_greeted(events):
            self.session.repair()
            _, failure = self._hear(job)
        return failure

    def _hear(self, job: Accuracy) -> tuple[list[Event], Evaluation | None]:
        """Return the first and the last event, and the failure."""
        account = Account(job)
        first: Event | None = None
        last: Event | None = None
        with closing(self.session.agent.converse(job)) as talk:
            while True:
                try:
                    last = next(talk)
                except StopIteration as end:
                    assert last is not None  # noqa: S101 - a conversation has an event at least
                    return [first or last, last], account.end(last, end.value)
                first = first or last
                part = account.take(last)
                if self.stop.is_set():
                    return [first], None
                if part is not None and part.outcome != "ok":
                    return [first], part
                if part is not None:
                    self._tell(job, part)

    def _tell(self, job: Accuracy, part: Evaluation) -> None:
        self._record(part)
        self._losses = 0
        samples = self.sets[job.dataset].samples
        rate = part.count / (part.wall_ns / 1e9) if part.wall_ns else None
        case = job.target.case
        self.emit(Evaluating(case, self.coverage.evaluated(case.case_id), samples, rate))

    def _record(self, evaluation: Evaluation) -> None:
        self.emit(evaluation)
        self.coverage.add(evaluation)


def offline(case: Case, first: int, count: int, why: Exception, *, is_busy: bool = False) -> Evaluation:
    """An evaluation that never was: the device is away."""
    return Evaluation(
        case_id=case.case_id,
        dataset=str(case.dataset),
        first=first,
        count=count,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        wall_ns=0,
        outcome="offline",
        cause="busy" if is_busy else "offline",
        reason=shortened(str(why)),
    )
