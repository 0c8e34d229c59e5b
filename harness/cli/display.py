"""Progress on standard error while artifacts are made and devices measure; quiet when that is not a terminal."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dashboards.wording import clean
from harness.cli import shared
from harness.run.runner import Run, Settings

if TYPE_CHECKING:
    from models.prepare import Progress as Preparing
    from results.records import Case, Restart


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
        self._lock = threading.Lock()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def settings(self, wait_s: float, patience_s: float, reconnect_s: float) -> Settings:
        """Return the run's settings, reporting here."""
        return Settings(
            wait_s=wait_s,
            patience_s=patience_s,
            reconnect_s=reconnect_s,
            say=self.say,
            on_restart=self._restart,
            on_result=self._result,
            on_step=self._advance,
        )

    def preparing(self, event: Preparing) -> None:
        """Show one step of an export."""
        with self._lock:
            if self._task is None:
                self._task = self._progress.add_task("preparing models", total=event.total)
            self._progress.update(self._task, completed=event.done, description=f"{event.model}: {event.stage}")

    def measuring(self, run: Run) -> None:
        """Change over from preparing to measuring."""
        devices = {case.device for case in run.header.cases}
        with self._lock:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task("measuring", total=sum(len(run.todo(device)) for device in devices))

    def say(self, message: str) -> None:
        """Print a line above the bars; what a device says in it is not trusted with the terminal."""
        line = clean(message)
        if self._progress.disable:
            click.echo(line, err=True)
        else:
            self._progress.console.print(line, markup=False)

    def _restart(self, case: Case, round_: int) -> None:
        where = f"{case.device}: {case.model} {case.backend} x{case.threads}, round {round_ + 1}"
        with self._lock:
            if self._task is not None:
                self._progress.update(self._task, description=where)

    def _result(self, case: Case, restart: Restart) -> None:
        name = f"{case.device}: {case.model} {case.backend} x{case.threads}"
        if restart.outcome == "failed":
            self.say(f"{name}: failed: {restart.reason}")
        fallback = restart.actual.get("fallback")
        if fallback and restart.round == 0:  # the table says it of every restart
            self.say(f"{name}: fell back: {fallback}")

    def _advance(self) -> None:
        with self._lock:
            if self._task is not None:
                self._progress.advance(self._task)
