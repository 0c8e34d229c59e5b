"""A run over all its devices: hands out their tasks, and writes down what comes back before anything else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.executors.base import Executor, Stop
from harness.fleet.devices import Device
from harness.link.manners import Manners
from harness.run import boards, plan
from harness.run.coverage import Coverage
from harness.run.datasets import PreparedSet
from harness.run.tally import Tally
from harness.run.task import DeviceTask, Message, Said, carry_out, unevaluated
from harness.run.uncertain import medians_of
from harness.workspace import Workspace
from models.artifacts import Artifact
from results import journal
from results.errors import ResultsError
from results.journal import Journal
from results.judge.device import noise
from results.records import Case, DeviceSeen, Evaluation, Finished, Restart, RunDocument


class Run:
    """One run, started or resumed: it alone owns the journal and the tally.

    `watch` is told every message of a device once it is written down, from several threads.
    """

    def __init__(
        self,
        workspace: Workspace,
        document: RunDocument,
        opened: Journal,
        manners: Manners,
        watch: Callable[[Message], None] = lambda _: None,
        sets: Sequence[PreparedSet] = (),
    ) -> None:
        self.workspace = workspace
        self.header = document.header
        self._manners = manners
        self.watch = watch
        self._stop = Stop()
        self._read = document
        self._restarts = list(document.restarts)
        self._devices = list(document.devices)
        self._journal = opened
        self._writing = threading.Lock()
        # Grouped once: with a thousand devices, looking through all cases for each would take minutes.
        self._cases: dict[str, list[Case]] = {}
        for case in self.header.cases:
            self._cases.setdefault(case.device, []).append(case)
        self._device_of = {case.case_id: case.device for case in self.header.cases}
        done: dict[str, list[Restart]] = {device: [] for device in self._cases}
        for restart in document.restarts:
            if restart.case_id in self._device_of:  # a damaged journal may hold a restart of no case
                done[self._device_of[restart.case_id]].append(restart)
        self._tallies = {device: Tally.resumed(restarts) for device, restarts in done.items()}
        self._best_ns = {device: noise.best_probe_ns(restarts) for device, restarts in done.items()}
        self._medians = {device: medians_of(restarts, self._best_ns[device]) for device, restarts in done.items()}
        self._evaluations = list(document.evaluations)
        self.use(sets)
        self._samples = {facts.sha256: facts.samples for facts in self.header.datasets}
        parts: dict[str, list[Evaluation]] = {device: [] for device in self._cases}
        for evaluation in document.evaluations:
            if evaluation.case_id in self._device_of:
                parts[self._device_of[evaluation.case_id]].append(evaluation)
        self._coverages = {device: Coverage.resumed(evaluations) for device, evaluations in parts.items()}

    def use(self, sets: Sequence[PreparedSet]) -> None:
        """Take the prepared data sets of the cases that are still to be evaluated."""
        self._sets = {prepared.sha256: prepared for prepared in sets}

    @property
    def folder(self) -> Path:
        """Where the run is stored."""
        return self.workspace.run_folder(self.header.run_id)

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of its devices."""
        return tuple(self._cases)

    def todo(self, device: str) -> list[tuple[int, Case]]:
        """Return the restarts that are still to be done on one device, in order."""
        return plan.todo(self._cases[device], self.header.profile, self.header.seed, self._tallies[device])

    def unevaluated(self, device: str) -> list[Case]:
        """Return the cases of which samples are still to be evaluated on one device."""
        return unevaluated(self._cases[device], self._samples, self._tallies[device], self._coverages[device])

    def is_open(self, device: str) -> bool:
        """Whether anything is still to be done on one device."""
        return bool(self.todo(device) or self.unevaluated(device))

    def unrated(self) -> list[str]:
        """Return the cases whose evaluation failed, of each its last reason; what a runtime cannot do is none."""
        last = {evaluation.case_id: evaluation for evaluation in self._evaluations}
        return [
            case_id
            for coverage in self._coverages.values()
            for case_id in sorted(coverage.given_up)
            if last[case_id].outcome == "failed"
        ]

    def lost(self) -> list[str]:
        """Return the cases of which restarts failed though others brought something: a later try may bring them.

        The control is not among them: nobody asked for it.
        """
        controls = {case.case_id for case in self.header.cases if case.control}
        return [
            case_id
            for tally in self._tallies.values()
            for case_id in sorted(tally.given_up & {case_id for case_id, _ in tally.done} - controls)
        ]

    def record(self, restart: Restart) -> None:
        """Write one restart down; returns when the disk has it. Raises ResultsError."""
        device = self._device_of[restart.case_id]
        self._journal.add(restart, None if restart.cause == "export" else device)
        with self._writing:
            self._restarts.append(restart)
            self._tallies[device].add(restart)

    def evaluated(self, evaluation: Evaluation) -> None:
        """Write down what came of a part of a data set; returns when the disk has it. Raises ResultsError."""
        device = self._device_of[evaluation.case_id]
        self._journal.add(evaluation, device)
        with self._writing:
            self._evaluations.append(evaluation)
            self._coverages[device].add(evaluation)

    def tasks(self, devices: Sequence[Device], artifacts: Mapping[str, Artifact]) -> list[DeviceTask]:
        """Return what is to be done on each of these devices; `artifacts` is case_id -> artifact."""
        return [
            DeviceTask(
                run_id=self.header.run_id,
                workspace=self.workspace,
                device=device,
                cases=(cases := self._cases[device.name]),
                artifacts={case.case_id: artifacts[case.case_id] for case in cases if case.case_id in artifacts},
                profile=self.header.profile,
                seed=self.header.seed,
                stopping=self.header.stopping,
                medians=self._medians[device.name],
                best_probe_ns=self._best_ns[device.name],
                tally=self._tallies[device.name].copy(),
                manners=self._manners,
                sets=self._sets,
                coverage=self._coverages[device.name].copy(),
            )
            for device in devices
        ]

    def execute(self, devices: Sequence[Device], artifacts: Mapping[str, Artifact], executor: Executor) -> None:
        """Measure whatever is to do on each device, devices side by side.

        Raises ResultsError when nothing can be written any more, and KeyboardInterrupt; what was measured is kept.
        """
        executor.run(self.tasks(devices, artifacts), carry_out, self._take, self._stop)

    def _take(self, _task: DeviceTask, message: Message) -> None:
        """Take in what a device's task says. Where that cannot be written down, nothing more is measured."""
        try:
            if isinstance(message, Restart):
                self.record(message)
            elif isinstance(message, Evaluation):
                self.evaluated(message)
            elif isinstance(message, DeviceSeen):
                self._seen(message)
        except ResultsError:
            self._stop.set()
            raise
        self.watch(message)

    def _seen(self, seen: DeviceSeen) -> None:
        self._journal.add(seen, seen.device)
        with self._writing:
            self._devices.append(seen)
        if changed := boards.change(self.workspace, seen):
            self.watch(Said(changed))

    def finish(self) -> RunDocument:
        """Close the journal and write the run document, complete or not. Raises ResultsError."""
        is_complete = not any(self.is_open(device) for device in self.devices)
        finished = datetime.now(UTC).isoformat(timespec="seconds") if is_complete else None
        try:
            if finished is not None:
                self._journal.add(Finished(at=finished, restarts=len(self._restarts)))
        finally:
            self._journal.close()
        document = self._read.model_copy(
            update={
                "devices": tuple(self._devices),
                "restarts": tuple(self._restarts),
                "evaluations": tuple(self._evaluations),
                "finished_at": finished,
            }
        )
        journal.write_document(self.folder, document)
        return document
