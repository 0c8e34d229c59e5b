"""A device's part of a run: a task that any process with this workspace can carry out, and what it says meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from harness.errors import DeviceBusy, LockUnusable, TransportError
from harness.executors.base import Stop
from harness.fleet import locks
from harness.fleet.devices import Device
from harness.jobs import outputs
from harness.jobs.latency import Latency, Target
from harness.jobs.model import ModelOnDevice
from harness.link.manners import Claim, Hooks, Manners
from harness.link.ready import File, ReadyDevice, files_of
from harness.link.thermal import cool_down, limited_to_now
from harness.run import plan, tools
from harness.run.chosen import HINT
from harness.run.coverage import Coverage
from harness.run.datasets import PreparedSet
from harness.run.evaluating import Evaluating, Evaluator, offline
from harness.run.tally import Tally, is_last
from harness.run.uncertain import Uncertain
from harness.transports import Transport
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.store import ArtifactStore
from results.judge.device import noise
from results.judge.validity import believed, judge_restart
from results.records import Case, DeviceSeen, Evaluation, Profile, Restart, Stopping, Verdict, shortened

# A case during whose restart the device went away this often in a row is left for `--resume`.
LOSSES = 3


@dataclass(frozen=True)
class Said:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Begun:
    """A restart begins."""

    case: Case
    round: int


@dataclass(frozen=True)
class Stepped:
    """One planned restart is over or dropped."""


# What is said while a task is carried out: records that are written down, and notes for the user.
Message = DeviceSeen | Restart | Evaluation | Evaluating | Said | Begun | Stepped
Emit = Callable[[Message], None]


@dataclass(frozen=True)
class DeviceTask:
    """Everything that is to be measured on one device. It can be pickled.

    `artifacts` has the artifact of every case that has one, `sets` the prepared data set of every case that has one, by
    its hash; `tally` and `coverage` say what is done, `medians` what it says of the latency (`uncertain.Medians`),
    `best_probe_ns` of the cores (`judge.device.noise`).
    """

    run_id: str
    workspace: Workspace
    device: Device
    cases: Sequence[Case]
    artifacts: Mapping[str, Artifact]
    profile: Profile
    seed: int
    tally: Tally
    manners: Manners
    stopping: Stopping | None = None
    medians: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    best_probe_ns: int | None = None
    sets: Mapping[str, PreparedSet] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)

    def todo(self) -> list[tuple[int, Case]]:
        """Return the restarts that are still to be done, in order."""
        return plan.todo(self.cases, self.profile, self.seed, self.tally)

    def unevaluated(self) -> list[Case]:
        """Return the cases of which samples are still to be evaluated."""
        samples = {sha256: prepared.samples for sha256, prepared in self.sets.items()}
        return unevaluated(self.cases, samples, self.tally, self.coverage)


def unevaluated(cases: Iterable[Case], samples: Mapping[str, int], tally: Tally, coverage: Coverage) -> list[Case]:
    """Return those of the cases of which samples are missing; `samples` is how many of each data set are asked for.

    What could not be measured is not evaluated, either.
    """
    return [
        case
        for case in cases
        if case.dataset is not None
        and case.case_id not in tally.given_up
        and coverage.gap(case.case_id, samples[case.dataset])
    ]


def carry_out(task: DeviceTask, emit: Emit, stop: Stop) -> None:
    """Lock the device, prepare it, measure. One that is busy or cannot be reached leaves its cases `offline`.

    `emit` returns when what it was given is written down, so nothing measured is lost; a restart that `stop` cuts off
    is not emitted. Raises what `emit` raises, and ResultsError when the workspace cannot be written.
    """
    todo = task.todo()
    if todo or task.unevaluated():
        _Work(task, emit, stop).execute(todo)


class _Work:
    def __init__(self, task: DeviceTask, emit: Emit, stop: Stop) -> None:
        self._task = task
        self._emit = emit
        self._stop = stop
        self._tally = task.tally.copy()
        self._coverage = task.coverage.copy()
        self._left: set[str] = set()
        self._best_probe_ns = task.best_probe_ns
        self._repeats: Counter[str] = Counter()
        self._uncertain = Uncertain(task.stopping, task.profile.restarts, task.medians) if task.stopping else None
        self._transport: Transport | None = None

    def execute(self, todo: Sequence[tuple[int, Case]]) -> None:
        task, stop = self._task, self._stop
        reason, wait_s = f"bench run {task.run_id}", task.manners.wait_s
        try:
            with (
                stop.calling(self._close),
                locks.hold(task.device.name, reason, wait_s=wait_s, on_wait=self._say, stopping=stop.is_set),
                closing(self._session(todo)) as session,
            ):
                session.open()
                self._measure_all(session, todo)
                self._measure_more(session, {case.case_id: case for _, case in todo})
                self._evaluate_all(session)
        except (DeviceBusy, TransportError) as exc:
            if not stop.is_set():
                self._say(f"{task.device.name} is {'busy' if _is_busy(exc) else 'offline'}: {exc}")
                self._offline(exc)

    def _say(self, text: str) -> None:
        self._emit(Said(text))

    def _close(self) -> None:
        """End the restart in flight, from the thread that stops the run."""
        if self._transport is not None:
            self._transport.close()

    def _opened(self, transport: Transport) -> None:
        self._transport = transport
        if self._stop.is_set():
            transport.close()

    def _session(self, todo: Sequence[tuple[int, Case]]) -> ReadyDevice:
        task, rated = self._task, self._task.unevaluated()
        cases = {case.case_id: case for case in [*(case for _, case in todo), *rated]}.values()
        targets = [self._target(case) for case in cases]
        images = [task.sets[sha256].files(self._root) for sha256 in dict.fromkeys(str(case.dataset) for case in rated)]
        return ReadyDevice(
            task.workspace,
            task.device,
            Claim(f"bench run {task.run_id}", task.run_id),
            tuple(sorted({case.backend for case in cases})),
            # Cases share models; a dictionary keeps their order.
            list(dict.fromkeys(file for files in [*map(self._files, targets), *images] for file in files)),
            task.manners,
            Hooks(say=self._say, opened=self._opened, on_seen=self._emit, pause=self._stop.wait),
        )

    def _measure_all(self, session: ReadyDevice, todo: Sequence[tuple[int, Case]]) -> None:
        device, each_case = self._task.device, self._task.profile.span_seconds is not None
        if each_case:
            device = limited_to_now(device, session.agent)
        cooled, is_gated = -1, True
        for round_, case in todo:
            if self._stop.is_set():
                return
            if self._tally.is_open(round_, case) and case.case_id not in self._left:
                if is_gated and (each_case or round_ != cooled):
                    is_gated = cool_down(device, session.agent, self._say, self._stop.wait)
                    cooled = round_
                self._measure(session, self._target(case), round_)
            self._emit(Stepped())

    def _measure_more(self, session: ReadyDevice, cases: Mapping[str, Case]) -> None:
        """Measure those of these cases again that it helps most, as far as the run's `stopping` has it.

        They are those that had something to do: of the others a resumed run has no files.
        """
        while self._uncertain is not None and not self._stop.is_set():
            chosen = self._uncertain.next(cases.keys() - self._tally.given_up - self._left)
            if chosen is None:
                return
            case_id, round_ = chosen
            self._measure(session, self._target(cases[case_id]), round_)

    def _evaluate_all(self, session: ReadyDevice) -> None:
        """One case after another: what a model predicts does not drift as its latency does."""
        task = self._task
        evaluator = Evaluator(session, self._root, task.sets, self._coverage, self._emit, self._stop)
        for case in task.unevaluated():
            if self._stop.is_set():
                return
            if case.case_id not in self._tally.given_up | self._left:
                target = self._target(case)
                evaluator.evaluate(target, task.artifacts[case.case_id], self._files(target))
            self._emit(Stepped())

    def _target(self, case: Case) -> Target:
        artifact = self._task.artifacts[case.case_id]
        io = ArtifactStore(self._task.workspace.artifacts).io_path(artifact)
        return Target(
            case=case,
            model=ModelOnDevice.of(artifact, self._root),
            outputs=outputs.rules(artifact, io, case.precision if case.method == HINT else ""),
            tools={option: tool.path for option, tool in self._tools(case).items()},
        )

    @property
    def _root(self) -> PurePosixPath:
        return self._task.workspace.device_root(self._task.device)

    def _tools(self, case: Case) -> dict[str, File]:
        return tools.pushed(self._task.workspace, self._task.device, case)

    def _files(self, target: Target) -> list[File]:
        store = ArtifactStore(self._task.workspace.artifacts)
        artifact = self._task.artifacts[target.case.case_id]
        return [*files_of(artifact, store, self._root), *self._tools(target.case).values()]

    def _measure(self, session: ReadyDevice, target: Target, round_: int) -> None:
        """One restart, repeated when it failed or was disturbed; what was damaged on the device is pushed again first.

        A restart during which the device went away says nothing about the case: it is made again, unless that happens
        too often. Raises TransportError when the device stays away.
        """
        first = attempt = self._tally.failed.get((target.case.case_id, round_), 0)
        losses = 0
        while True:
            self._emit(Begun(target.case, round_))
            try:
                restart = self._restart(session, Latency(target, self._task.profile, round_, attempt))
            except TransportError as exc:
                if self._stop.is_set():
                    return  # cut off by us: says nothing about the case
                losses += 1
                if losses >= LOSSES:
                    reason = f"the device went away {LOSSES} times while this ran; at last: {exc}"
                    self._record(_lost(target.case, round_, TransportError(reason)))
                    self._left.add(target.case.case_id)
                session.reopen(exc)
                if losses >= LOSSES:
                    return
                continue
            if self._stop.is_set():
                return
            self._record(restart)
            judgment = judge_restart(restart, target.case, self._task.profile, self._best_probe_ns)
            if not judgment.is_repeated:
                return
            if is_last(attempt) if not judgment.has_numbers else not self._is_repeated(restart, attempt - first):
                return
            attempt += 1
            if judgment.verdict is Verdict.THROTTLED:
                cool_down(self._task.device, session.agent, self._say, self._stop.wait)
            if restart.cause == "damaged":
                with suppress(TransportError):
                    for file in self._files(target):
                        session.agent.transport.push(file.source, file.path, file.sha256)

    def _is_repeated(self, restart: Restart, repeats: int) -> bool:
        """Whether a disturbed restart is made again, which is counted: of a case no more often than it has rounds.

        Minutes without a pause that ended early as the device became too hot would do so again.
        """
        most = self._task.stopping.repeats if self._task.stopping else 0
        if restart.curve is not None and restart.curve.ended:
            return False
        if repeats >= most or self._repeats[restart.case_id] >= self._task.profile.restarts:
            return False
        self._repeats[restart.case_id] += 1
        return True

    def _restart(self, session: ReadyDevice, job: Latency) -> Restart:
        session.check()
        restart = session.carry_out(job)
        if restart.outcome == "ok":
            session.check()  # whoever took a lock that was lost meanwhile may have measured at the same time
        return believed(restart, job.target.case, self._task.profile)

    def _record(self, restart: Restart) -> None:
        self._emit(restart)
        self._tally.add(restart)
        known = (self._best_probe_ns, noise.best_probe_ns([restart]))
        self._best_probe_ns = min((one for one in known if one is not None), default=None)
        if self._uncertain is not None:
            self._uncertain.add(restart, self._best_probe_ns)

    def _offline(self, why: Exception) -> None:
        """Write down of every case that is still open that its device is away."""
        task = self._task
        open_ = plan.todo(task.cases, task.profile, task.seed, self._tally)
        first = {case.case_id: (round_, case) for round_, case in reversed(open_)}
        for round_, case in first.values():
            self._record(_lost(case, round_, why))
        samples = {sha256: prepared.samples for sha256, prepared in task.sets.items()}
        for case in unevaluated(task.cases, samples, self._tally, self._coverage):
            gap = self._coverage.gap(case.case_id, samples[str(case.dataset)]) or (0, 0)
            self._emit(offline(case, *gap, why, is_busy=_is_busy(why)))


def _lost(case: Case, round_: int, why: Exception) -> Restart:
    """A restart that never was: the device is away."""
    return Restart(
        case_id=case.case_id,
        round=round_,
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        wall_ns=0,
        outcome="offline",
        cause="busy" if _is_busy(why) else "offline",
        reason=shortened(str(why)),
    )


def _is_busy(why: Exception) -> bool:
    return isinstance(why, DeviceBusy) and not isinstance(why, LockUnusable)
