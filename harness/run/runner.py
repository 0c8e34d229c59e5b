"""A run: prepare every device, go round by round through its cases, and write each restart down before the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import DeviceBusy, TransportError
from harness.executors.base import Executor
from harness.fleet import locks
from harness.fleet.devices import Device
from harness.link.agent import DEFAULT_PATIENCE_S, Target
from harness.link.session import RECONNECT_S, File, Manners, Session
from harness.link.thermal import cool_down
from harness.run import plan, tools
from harness.transports import Transport
from harness.workspace import Workspace
from models.artifacts import Artifact, ArtifactStore
from results import journal
from results.journal import Journal
from results.records import Case, Restart, RunDocument

# A failed restart is tried this often in its round; then the case is given up.
ATTEMPTS = 2
# A case during whose restart the device went away this often in a row is left for `--resume`.
LOSSES = 3


@dataclass(frozen=True)
class Settings:
    """What the user decides about how a run goes, not about what it measures.

    `wait_s` bounds the wait for a device another run holds, `patience_s` each silence of an agent, `reconnect_s` the
    tries to reach a device that went away. The callbacks come from the devices' threads: before a
    restart, after it, and once for every planned restart that is over or dropped.
    """

    wait_s: float = 3600.0
    patience_s: float = DEFAULT_PATIENCE_S
    reconnect_s: float = RECONNECT_S
    say: Callable[[str], None] = lambda _: None
    on_restart: Callable[[Case, int], None] = lambda _case, _round: None
    on_result: Callable[[Case, Restart], None] = lambda _case, _restart: None
    on_step: Callable[[], None] = lambda: None


@dataclass
class Progress:
    """Which restarts are done, from the journal and onwards."""

    done: set[tuple[str, int]] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, restarts: Iterable[Restart]) -> Progress:
        """Return what a journal's restarts leave to do."""
        progress = cls()
        for restart in restarts:
            progress.add(restart)
        return progress

    def add(self, restart: Restart) -> None:
        """Take in one finished restart. An offline device is not done: `--resume` tries it again."""
        if restart.outcome == "ok":
            self.done.add((restart.case_id, restart.round))
        elif restart.outcome == "unsupported" or (restart.outcome == "failed" and restart.attempt + 1 >= ATTEMPTS):
            self.given_up.add(restart.case_id)

    def open(self, round_: int, case: Case) -> bool:
        """Tell whether this restart is still to be done."""
        return (case.case_id, round_) not in self.done and case.case_id not in self.given_up


class Run:
    """One run over all its devices, started or resumed."""

    def __init__(self, workspace: Workspace, document: RunDocument, opened: Journal, settings: Settings) -> None:
        self.workspace = workspace
        self.header = document.header
        self.settings = settings
        self.progress = Progress.of(document.restarts)
        self.restarts = list(document.restarts)
        self._journal = opened
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._transports: list[Transport] = []

    @property
    def folder(self) -> Path:
        """Where the run is stored."""
        return self.workspace.run_folder(self.header.run_id)

    def todo(self, device: str) -> list[tuple[int, Case]]:
        """Return the restarts that are still to be done on one device, in order."""
        cases = [case for case in self.header.cases if case.device == device]
        order = plan.schedule(cases, self.header.profile, self.header.seed)
        return [(round_, case) for round_, case in order if self.progress.open(round_, case)]

    def record(self, restart: Restart) -> None:
        """Write one restart down; returns when the disk has it. Raises ResultsError."""
        with self._writing:
            self._journal.add(restart)
            self.restarts.append(restart)
            self.progress.add(restart)

    def execute(self, devices: Sequence[Device], artifacts: Mapping[str, Artifact], executor: Executor) -> None:
        """Measure whatever is to do on each device, devices side by side.

        Raises ResultsError when nothing can be written any more, and KeyboardInterrupt; what was measured is kept.
        """
        futures: list[Future[None]] = []
        try:
            for device in devices:
                work = DeviceWork(self, device, artifacts)
                futures.append(executor.submit(device.name, work.execute))
            for future in as_completed(futures):
                future.result()
        except BaseException:
            self.stop()
            raise
        finally:
            executor.close()

    def stop(self) -> None:
        """End the restarts in flight; they are not recorded."""
        self._stop.set()
        for transport in self._transports:
            transport.close()

    def is_stopping(self) -> bool:
        """Tell whether `stop` was called."""
        return self._stop.is_set()

    def opened(self, transport: Transport) -> None:
        """Remember a transport that `stop` must close."""
        self._transports.append(transport)
        if self.is_stopping():
            transport.close()

    def wait(self, seconds: float) -> bool:
        """Wait; return at once, and True, when the run is stopped."""
        return self._stop.wait(seconds)

    def is_complete(self, devices: Iterable[str]) -> bool:
        """Tell whether nothing is left to do."""
        return not any(self.todo(device) for device in devices)

    def finish(self) -> RunDocument:
        """Close the journal and write the run document, complete or not. Raises ResultsError."""
        self._journal.close()
        complete = self.is_complete({case.device for case in self.header.cases})
        finished = datetime.now(UTC).isoformat(timespec="seconds") if complete else None
        document = RunDocument(header=self.header, restarts=tuple(self.restarts), finished_at=finished)
        journal.write_document(self.folder, document)
        return document


@dataclass
class DeviceWork:
    """The part of a run on one device."""

    run: Run
    device: Device
    artifacts: Mapping[str, Artifact]

    def execute(self) -> None:
        """Lock the device, prepare it, measure. One that is busy or cannot be reached leaves its cases `offline`."""
        todo = self.run.todo(self.device.name)
        if not todo:
            return
        settings = self.run.settings
        reason = f"bench run {self.run.header.run_id}"
        stopping = self.run.is_stopping
        try:
            with locks.hold(self.device.name, reason, wait_s=settings.wait_s, on_wait=settings.say, stopping=stopping):
                session = self._session(todo)
                try:
                    session.open()
                    self._work(session, todo)
                finally:
                    session.close()
        except (DeviceBusy, TransportError) as exc:
            if not self.run.is_stopping():
                state = "busy" if isinstance(exc, DeviceBusy) else "offline"
                settings.say(f"{self.device.name} is {state}: {exc}")
                self._offline(self.run.todo(self.device.name), exc)

    def _session(self, todo: Sequence[tuple[int, Case]]) -> Session:
        run, settings = self.run, self.run.settings
        targets = [self._target(case) for case in {case.case_id: case for _, case in todo}.values()]
        manners = Manners(
            reason=f"bench run {run.header.run_id}",
            token=run.header.run_id,
            wait_s=settings.wait_s,
            patience_s=settings.patience_s,
            reconnect_s=settings.reconnect_s,
            say=settings.say,
            opened=run.opened,
            pause=run.wait,
        )
        return Session(
            run.workspace,
            self.device,
            tuple(sorted({case.backend for _, case in todo})),
            # Cases share models; a dictionary keeps their order.
            list(dict.fromkeys(file for target in targets for file in self._files(target))),
            manners,
        )

    def _work(self, session: Session, todo: Sequence[tuple[int, Case]]) -> None:
        given_up: set[str] = set()
        cooled, is_gated = -1, True
        for round_, case in todo:
            if self.run.is_stopping():
                return
            if self.run.progress.open(round_, case) and case.case_id not in given_up:
                if is_gated and round_ != cooled:
                    is_gated = cool_down(self.device, session.agent, self.run.settings.say, self.run.wait)
                    cooled = round_
                if not self._measure(session, self._target(case), round_):
                    given_up.add(case.case_id)
            self.run.settings.on_step()

    def _target(self, case: Case) -> Target:
        artifact = self.artifacts[case.case_id]
        folder = self.run.workspace.device_root(self.device) / "artifacts" / artifact.sha256
        return Target(
            case=case,
            model=folder / f"model.{artifact.format}",
            model_sha256=artifact.sha256,
            io=folder / f"io-{artifact.io_sha256}.npz",
            io_sha256=artifact.io_sha256,
            inputs=[{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in artifact.inputs],
            tolerance=artifact.tolerance,
            tools={option: tool.path for option, tool in self._tools(case).items()},
        )

    def _tools(self, case: Case) -> dict[str, File]:
        return tools.pushed(self.run.workspace, self.device, case)

    def _files(self, target: Target) -> list[File]:
        store = ArtifactStore(self.run.workspace.artifacts)
        artifact = self.artifacts[target.case.case_id]
        return [
            File(target.model, store.model_path(artifact), target.model_sha256),
            File(target.io, store.io_path(artifact), target.io_sha256),
            *self._tools(target.case).values(),
        ]

    def _measure(self, session: Session, target: Target, round_: int) -> bool:
        """One restart, repeated when it failed; what was damaged on the device is pushed again first.

        A restart during which the device went away says nothing about the case: it is made again. Returns False when
        that happens too often. Raises TransportError when the device stays away.
        """
        attempt = losses = 0
        while attempt < ATTEMPTS:
            self.run.settings.on_restart(target.case, round_)
            restart = self._restart(session, target, round_, attempt)
            if self.run.is_stopping():
                return True  # cut off by us: says nothing about the case
            if restart.outcome == "offline":
                losses += 1
                if losses >= LOSSES:
                    reason = f"the device went away {LOSSES} times while this ran; at last: {restart.reason}"
                    self.run.record(restart.model_copy(update={"reason": reason[:4000]}))
                session.reopen(restart.reason)
                if losses >= LOSSES:
                    return False
                continue
            self.run.record(restart)
            self.run.settings.on_result(target.case, restart)
            if restart.outcome != "failed":
                return True
            attempt += 1
            if restart.cause == "damaged":
                with suppress(TransportError):
                    for file in self._files(target):
                        session.agent.transport.push(file.source, file.path, file.sha256)
        return True

    def _restart(self, session: Session, target: Target, round_: int, attempt: int) -> Restart:
        try:
            session.check()
            restart = session.agent.restart(target, self.run.header.profile, round_, attempt)
            if restart.outcome == "ok":
                session.check()  # whoever took a lock that was lost meanwhile may have measured at the same time
        except TransportError as exc:
            return _lost(target.case, round_, exc)
        return restart

    def _offline(self, todo: Sequence[tuple[int, Case]], why: Exception) -> None:
        first = {case.case_id: round_ for round_, case in reversed(todo)}
        cases = {case.case_id: case for _, case in todo}
        for case_id, round_ in first.items():
            self.run.record(_lost(cases[case_id], round_, why))


def _lost(case: Case, round_: int, why: Exception) -> Restart:
    """A restart that never was: the device is away."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Restart(
        case_id=case.case_id,
        round=round_,
        started_at=now,
        wall_ns=0,
        outcome="offline",
        cause="busy" if isinstance(why, DeviceBusy) else "offline",
        reason=str(why)[:4000],
    )
