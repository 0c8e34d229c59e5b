"""Which restarts of a run are done: from its journal, and onwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from results.records import Case, Restart

# A failed restart is tried this often in its round; then the case is given up.
ATTEMPTS = 2


@dataclass
class Tally:
    """Of one device or of several; `given_up` are cases of which no further restart is made."""

    done: set[tuple[str, int]] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, restarts: Iterable[Restart]) -> Tally:
        """Return what a journal's restarts leave to do."""
        tally = cls()
        for restart in restarts:
            tally.add(restart)
        return tally

    def copy(self) -> Tally:
        """Return one of its own for another thread or process."""
        return Tally(set(self.done), set(self.given_up))

    def add(self, restart: Restart) -> None:
        """Take in one finished restart. An offline device is not done: `--resume` tries it again."""
        if restart.outcome == "ok":
            self.done.add((restart.case_id, restart.round))
        elif restart.outcome == "unsupported" or (restart.outcome == "failed" and restart.attempt + 1 >= ATTEMPTS):
            self.given_up.add(restart.case_id)

    def is_open(self, round_: int, case: Case) -> bool:
        """Tell whether this restart is still to be done."""
        return (case.case_id, round_) not in self.done and case.case_id not in self.given_up
