"""Progress on standard error while artifacts are made and devices measure; quiet when that is not a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dashboards.wording import LONGEST, clean
from harness.cli import shared
from harness.run.evaluating import Evaluating
from harness.run.task import Begun, Message, Said, Stepped
from results.judge.placement import fallback
from results.records import Case, Evaluation, Restart, shortened

if TYPE_CHECKING:
    from models.prepare import Progress as Preparing


class Display:
    """Two bars, one after the other: artifacts, then restarts with what runs now and what came of the last ones."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=shared.console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None
        self._cases: dict[str, Case] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._progress.stop()

    def preparing(self, event: Preparing) -> None:
        """Show one step of an export."""
        with self._lock:
            if self._task is None:
                self._task = self._progress.add_task("preparing models", total=event.total)
            self._progress.update(self._task, completed=event.done, description=f"{event.model}: {event.stage}")

    def measuring(self, cases: Sequence[Case], steps: int) -> None:
        """Change over from preparing to measuring these cases, in so many steps."""
        self._cases = {case.case_id: case for case in cases}
        with self._lock:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("measuring", total=steps)

    def say(self, message: str) -> None:
        """Print a line above the bars; what a device says in it is not trusted with the terminal."""
        if self._progress.disable:
            shared.say(message, err=True)
        else:
            self._progress.console.print(clean(message), markup=False)

    def watch(self, message: Message) -> None:
        """Show what a device's task says; called from several threads."""
        match message:
            case Said():
                self.say(message.text)
            case Begun():
                self._update(description=f"{_name(message.case)}, round {message.round + 1}")
            case Evaluating():
                self._update(description=f"{_name(message.case)}, {_progress(message)}")
            case Evaluation() if message.outcome == "failed":
                case = self._cases[message.case_id]
                self.say(f"{_name(case)}: accuracy: failed: {shortened(message.reason, LONGEST)}")
            case Stepped():
                self._update(advance=1)
            case Restart():
                self._result(self._cases[message.case_id], message)

    def _update(self, *, description: str | None = None, advance: int | None = None) -> None:
        with self._lock:
            if self._task is not None:
                self._progress.update(self._task, description=description, advance=advance)

    def _result(self, case: Case, restart: Restart) -> None:
        if restart.outcome == "failed":
            self.say(f"{_name(case)}: failed: {shortened(restart.reason, LONGEST)}")
        words = "" if restart.cause == "fallback" else fallback(restart.actual)
        if words and restart.round == 0:  # the table says it of every restart
            self.say(f"{_name(case)}: fell back: {words}")


def _progress(message: Evaluating) -> str:
    rate = "" if message.images_per_s is None else f", {message.images_per_s:.3g}/s"
    return f"{message.done} of {message.samples} images{rate}"


def _name(case: Case) -> str:
    return f"{case.device}: {case.model} {case.backend} x{case.threads}"
