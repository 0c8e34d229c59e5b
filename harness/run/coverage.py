"""Which samples of a run are evaluated: from its journal, and onwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.run.tally import is_last, is_no_fault
from results.records import Evaluation


@dataclass
class Coverage:
    """Of one device: case_id -> {first: count} of what is `done`, and how often what begins at a sample has `failed`.

    `given_up` are cases of which nothing further is evaluated.
    """

    done: dict[str, dict[int, int]] = field(default_factory=dict)
    failed: dict[tuple[str, int], int] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def resumed(cls, evaluations: Iterable[Evaluation]) -> Coverage:
        """Return what a run that is taken up again leaves to do.

        A case of which parts are there can run, so the others are evaluated again; so is one whose files were damaged
        on the device or whose agent never started, which says nothing about it.
        """
        coverage = cls()
        for evaluation in evaluations:
            coverage.add(evaluation)
            if evaluation.outcome == "failed" and is_no_fault(evaluation):
                coverage.given_up.discard(evaluation.case_id)
        coverage.given_up -= coverage.done.keys()
        return coverage

    def copy(self) -> Coverage:
        """Return one of its own for another thread or process."""
        return Coverage(
            {case_id: dict(parts) for case_id, parts in self.done.items()}, dict(self.failed), set(self.given_up)
        )

    def add(self, evaluation: Evaluation) -> None:
        """Take in one part. An offline device is not done: `--resume` tries it again."""
        case_id, first = evaluation.case_id, evaluation.first
        if evaluation.outcome == "ok":
            self.done.setdefault(case_id, {})[first] = evaluation.count
        elif evaluation.outcome == "failed":
            self.failed[case_id, first] = evaluation.attempt + 1
        if evaluation.outcome == "unsupported" or (evaluation.outcome == "failed" and is_last(evaluation.attempt)):
            self.given_up.add(case_id)

    def gap(self, case_id: str, samples: int) -> tuple[int, int] | None:
        """Return the first samples of a case that are missing, as (first, count); None where none are to be done."""
        if case_id in self.given_up:
            return None
        place = 0
        for first, count in sorted(self.done.get(case_id, {}).items()):
            if first > place:
                return place, first - place
            place = max(place, first + count)
        return (place, samples - place) if place < samples else None

    def evaluated(self, case_id: str) -> int:
        """How many samples of a case are done."""
        return sum(self.done.get(case_id, {}).values())
