"""One case per runtime measured several times over, nothing changed: what a device does by itself.

The plan, agent and judgment of a run. Its rounds are so many that they make several measurements, one after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from harness.executors.base import Stop
from harness.fleet.devices import Device
from harness.jobs.probe import Probe
from harness.link import advice
from harness.link.manners import Manners
from harness.link.ready import push_agent
from harness.run import native, plan, start
from harness.run.native import Native
from harness.run.plan import BackendChoice
from harness.run.tally import Tally
from harness.run.task import DeviceTask, Message, carry_out
from harness.workspace import Workspace, new_run_id
from models.prepare import Prepared
from results.judge.change.fitness import Fitness, fitness
from results.judge.change.planning import RESTARTS
from results.judge.device import noise, telemetry
from results.judge.device.knobs import KNOBS, Knob, Told
from results.judge.measurement import Measurement, last_attempts
from results.judge.validity import judge_restart
from results.records import Case, Profile, Restart, Stopping


@dataclass(frozen=True)
class Request:
    """What is measured on a device, how often; each measurement has as many restarts as one of the standard profile.

    With `against_native` the runtimes' own tools are measured, too, once in so many rounds.
    """

    device: Device
    backends: Sequence[BackendChoice]
    profile: Profile
    measurements: int
    manners: Manners
    against_native: bool = False

    @property
    def measured(self) -> Profile:
        """The profile of one measurement."""
        return self.profile.model_copy(update={"restarts": max(self.profile.restarts, RESTARTS)})


@dataclass(frozen=True)
class Examined:
    """A case with what was found; `reason` is why there are no numbers, "" where there are."""

    case: Case
    version: str | None = None
    reason: str = ""
    fitness: Fitness | None = None
    native: Native | None = None


@dataclass(frozen=True)
class Planned:
    """A case, and that of its runtime's own tool, where that is asked for and there is one."""

    case: Case
    tool: Case | None = None

    @property
    def both(self) -> list[Case]:
        """Those of the two that can be measured."""
        return [one for one in (self.case, self.tool) if one is not None and one.artifact_format is not None]


@dataclass(frozen=True)
class Examination:
    """What was found of a device: of each case, and how its knobs stand."""

    cases: tuple[Examined, ...]
    knobs: tuple[Knob, ...]


def plan_cases(request: Request, model: Prepared, workspace: Workspace) -> list[Planned]:
    """Return the model under each runtime, with the first number of threads of the device. Raises ConfigError."""

    def case(choice: BackendChoice) -> Case:
        made, *_ = plan.build_cases([request.device], [start.planned(model)], [choice], request.device.threads[:1])
        return made

    found = []
    for choice in request.backends:
        tool = native.tool_of(request.device, workspace, choice) if request.against_native else None
        found.append(Planned(case(choice), None if tool is None else case(tool)))
    return found


def steps(request: Request, cases: Sequence[Planned]) -> int:
    """How many restarts that makes, where none is repeated."""
    each = [request.measurements if one is planned.case else 1 for planned in cases for one in planned.both]
    return request.measured.restarts * sum(each)


def examine(
    request: Request, model: Prepared, cases: Sequence[Planned], workspace: Workspace, watch: Callable[[Message], None]
) -> Examination:
    """Measure the cases, and judge what they say of the device. Raises TransportError, ResultsError."""
    told = _told(request.device, workspace)
    restarts: dict[str, list[Restart]] = defaultdict(list)

    def take(message: Message) -> None:
        if isinstance(message, Restart):
            restarts[message.case_id].append(message)
        watch(message)

    task = _task(request, model, cases, workspace)
    carry_out(task, take, Stop())
    everything = [restart for made in restarts.values() for restart in made]
    best_ns = noise.best_probe_ns(everything)
    failures = {one.case.case_id: plan.export_failure(one.case, start.planned(model)) for one in cases}
    others, stolen = telemetry.mean_cpu_shares(everything)
    told = replace(told, others=others, stolen=stolen)
    return Examination(
        tuple(_examined(request, one, restarts, failures[one.case.case_id], best_ns) for one in cases),
        tuple(knob(told) for knob in KNOBS),
    )


def _told(device: Device, workspace: Workspace) -> Told:
    """Ask the device how it stands. Raises TransportError."""
    with closing(device.connect(workspace.known_hosts)) as transport:
        return advice.told(device, push_agent(workspace, device, transport, ()).carry_out(Probe()))


def _task(request: Request, model: Prepared, planned: Sequence[Planned], workspace: Workspace) -> DeviceTask:
    artifacts, rounds = start.by_file([model]), request.measured.restarts * request.measurements
    cases = [case for one in planned for case in one.both]
    tools = [one.tool for one in planned if one.tool is not None]
    left_out = {(tool.case_id, number) for tool in tools for number in range(rounds) if number % request.measurements}
    return DeviceTask(
        run_id=f"doctor-{new_run_id()}",
        workspace=workspace,
        device=request.device,
        cases=cases,
        artifacts={case.case_id: artifacts[plan.file_key(case)] for case in cases},
        profile=request.measured.model_copy(update={"restarts": rounds}),
        seed=0,
        tally=Tally(done=left_out),
        manners=request.manners,
        # What was disturbed is made again; how much is measured was asked for.
        stopping=Stopping(extra=0.0),
    )


def _examined(
    request: Request,
    planned: Planned,
    restarts: Mapping[str, Sequence[Restart]],
    failure: str | None,
    best_ns: int | None,
) -> Examined:
    profile, case = request.measured, planned.case
    made = restarts[case.case_id]
    against = native.beside(case, planned.tool, restarts, profile) if request.against_native else None
    judgments = [judge_restart(restart, case, profile, best_ns) for restart in made]
    versions = [restart.agent.get("backend_version") for restart in made]
    version = next((str(version) for version in versions if version), None)
    if not any(judgment.has_numbers for judgment in judgments):
        why = judgments[-1].reason if judgments else case.unsupported or failure or "it was not measured"
        return Examined(case, version, why, native=against)
    kept = last_attempts(list(made))
    measurements = [
        Measurement(
            case,
            profile,
            tuple(one for one in kept if one.round // profile.restarts == number),
            finished=True,
            best_probe_ns=best_ns,
        )
        for number in range(request.measurements)
    ]
    return Examined(case, version, fitness=fitness(measurements, made), native=against)
