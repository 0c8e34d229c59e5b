"""Which restarts of a run are done: from its journal, and onwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from results.records import Case, Evaluation, Restart

# A failed restart is tried this often in its round; then the case is given up. One that is measured again by a resumed
# run gets as many again, numbered onward.
ATTEMPTS = 2


@dataclass
class Tally:
    """Of one device or of several: (case_id, round) of what is `done`, and how often what is not has `failed`.

    `given_up` are cases of which no further restart is made.
    """

    done: set[tuple[str, int]] = field(default_factory=set)
    failed: dict[tuple[str, int], int] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def resumed(cls, restarts: Sequence[Restart]) -> Tally:
        """Return what a run that is taken up again leaves to do.

        A case that has brought something can run, so what is missing of it is measured again; so is a case whose files
        were damaged on the device or whose agent never started, which says nothing about it.
        """
        tally = cls()
        for restart in restarts:
            tally.add(restart)
        spoiled = {restart.case_id for restart in restarts if restart.outcome == "failed" and is_no_fault(restart)}
        tally.given_up -= spoiled | {case_id for case_id, _ in tally.done}
        return tally

    def copy(self) -> Tally:
        """Return one of its own for another thread or process."""
        return Tally(set(self.done), dict(self.failed), set(self.given_up))

    def add(self, restart: Restart) -> None:
        """Take in one finished restart. An offline device is not done: `--resume` tries it again."""
        if restart.outcome == "ok":
            self.done.add((restart.case_id, restart.round))
        elif restart.outcome == "failed":
            self.failed[restart.case_id, restart.round] = restart.attempt + 1
        is_repeated = (restart.case_id, restart.round) in self.done  # others disturbed it, and the case can run
        if restart.outcome == "unsupported" or (
            restart.outcome == "failed" and is_last(restart.attempt) and not is_repeated
        ):
            self.given_up.add(restart.case_id)

    def is_open(self, round_: int, case: Case) -> bool:
        """Tell whether this restart is still to be done."""
        return (case.case_id, round_) not in self.done and case.case_id not in self.given_up


def is_last(attempt: int) -> bool:
    """Whether a restart that fails at this attempt is given up."""
    return (attempt + 1) % ATTEMPTS == 0


def is_no_fault(record: Restart | Evaluation) -> bool:
    """Whether something failed before the case had any part in it."""
    return record.cause == "damaged" or (not record.agent and record.cause != "export")
