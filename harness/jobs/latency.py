"""One restart: a fresh process that loads a model, checks its output and measures; a `Restart` record in every case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.agent.jobs import latency as device_side
from harness.jobs import outputs
from harness.jobs.base import Ended, Event, Failure, Grammar, Hello, Job, Reading, Step, Terms, Tree, why
from harness.jobs.model import Imported, Loaded, ModelOnDevice
from harness.jobs.outputs import MAX_OUTPUTS, Compared, Rule
from results.records import Case, Curve, Nanoseconds, Noise, Probes, Profile, Restart, Samples, shortened


class First(Event):
    event: Literal["first"]
    first_ns: Nanoseconds


class Verified(Event):
    """How far each output is off from its reference; None for one that was not compared."""

    event: Literal["verified"]
    outputs: Annotated[tuple[Compared | None, ...], Field(max_length=MAX_OUTPUTS)]


class Warmup(Event):
    """Every warm-up inference, and whether the times became stable."""

    event: Literal["warmup"]
    warmup_ns: Samples = Field(alias="ns")
    warmup_stable: bool = Field(alias="stable")


class Timed(Event):
    """Every timed inference, which of them lost their core, and how fast the core was meanwhile."""

    event: Literal["samples"]
    samples_ns: Samples = Field(alias="ns", min_length=1)
    telemetry_timed: Reading | None = None
    noise: Noise | None = None
    probes: Probes = ()

    @model_validator(mode="after")
    def _marked_each(self) -> Timed:
        if self.noise is not None:
            self.noise.flags(len(self.samples_ns))
        return self


class Curved(Event):
    """The spans of inferences that went on for minutes."""

    event: Literal["curve"]
    curve: Curve
    telemetry_timed: Reading | None = None


class Done(Event):
    """The restart is complete; `actual` adds to that of `loaded` what was found out after the last inference."""

    event: Literal["done"]
    peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)]
    telemetry_before: Reading
    telemetry_after: Reading
    actual: Tree = Field(default_factory=dict)


_OVERHEAD_S = 0.35  # of a restart besides its inferences, for estimates


@dataclass(frozen=True)
class Target:
    """A case with what the agent needs to run it: its model on the device, and what is right.

    `outputs` are the rules by which outputs are compared, none where there is no reference. `tools` are the options of
    the case that name a pushed file, with its path there.
    """

    case: Case
    model: ModelOnDevice
    outputs: Sequence[Rule] = ()
    tools: Mapping[str, PurePosixPath] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What the backend is told."""
        return {
            **self.case.options,
            **{option: str(path) for option, path in self.tools.items()},
            "threads": self.case.threads,
            "precision": self.case.precision,
        }


@dataclass(frozen=True)
class Latency(Job[Restart]):
    """The attempt at a round of a case. Its record never raises for what the device does.

    Where there are several rounds, the first loads cold.
    """

    name = "latency"

    target: Target
    profile: Profile
    round: int = 0
    attempt: int = 0

    @property
    def grammar(self) -> Grammar:
        """A runtime that measures itself is `loaded` a second time, by its own account."""
        return {
            Hello: Step("importing the runtime", (Imported,)),
            Imported: Step("loading the model", (Loaded,)),
            Loaded: Step("the first inference", (Loaded, First)),
            First: Step("checking the output", (Verified,)),
            Verified: Step("warming up", (Warmup,), self.profile.warmup_max_seconds),
            Warmup: self._timing,
            (Curved if self.profile.span_seconds else Timed): Step("ending", (Done,)),
        }

    @property
    def _timing(self) -> Step:
        longest_s = self.profile.max_seconds
        if self.profile.span_seconds:
            return Step("minutes without a pause", (Curved,), longest_s)
        return Step("the timed inferences", (Timed,), 2 * longest_s)  # once more, shielded

    def request(self, terms: Terms) -> device_side.Request:
        case = self.target.case
        return device_side.Request(
            **self.target.model.request(case.backend, self.target.options, terms, self.total_s(terms.patience_s)),
            outputs=[asdict(rule) for rule in self.target.outputs],
            profile=self.profile.model_dump(),
            cold=self.round == 0 and self.profile.restarts > 1,
            shield=terms.shield,
            critical_c=terms.critical_c,
        )

    def record(self, events: Sequence[Event], ended: Ended) -> Restart:
        """Return the restart: `ok` when every phase was gone through; `results.judge.validity` says what to believe."""
        fields: dict[str, Any] = {"outcome": "ok"}
        for event in events:
            fields.update(_fields(event, fields, ended))
        told = fields.pop("outputs", None)
        if told is not None and fields["outcome"] == "ok":
            fields.update(outputs.judge(self.target.outputs, told))
        return Restart(
            case_id=self.target.case.case_id,
            round=self.round,
            attempt=self.attempt,
            started_at=ended.started_at.isoformat(timespec="milliseconds"),
            wall_ns=ended.wall_ns,
            **fields,
        )


def _fields(event: Event, before: Mapping[str, Any], ended: Ended) -> dict[str, Any]:
    """Return an event's fields under the names of `Restart`, which most of them have already."""
    own = {name: value for name, value in event if name != "event"}
    match event:
        case Hello():
            return {"agent": event.model_dump(exclude={"event", "protocol"})}
        case Imported():
            versions = {**before["agent"], "backend_version": event.backend_version}
            return {"agent": versions, "import_ns": event.import_ns}
        case Done():
            return {**own, "actual": {**before["actual"], **event.actual}}
        case Failure():
            return failed(event, ended)
    return own


def failed(event: Failure, ended: Ended) -> dict[str, Any]:
    """Return what a record says of a job that ended early: `outcome`, `cause`, `reason`."""
    said = why(event, ended)
    if event.kind == "unsupported":
        return {"outcome": "unsupported", "cause": "unsupported", "reason": shortened(said)}
    cause = None if event.kind == "failed" else event.kind
    return {"outcome": "failed", "cause": cause, "reason": shortened(f"{event.phase}: {said}")}


def expected_seconds(profile: Profile, latency_ms: float | None) -> float:
    """Return about how long one restart takes: its planned times, more when inferences are slow."""
    if latency_ms is None or not math.isfinite(latency_ms):
        latency_ms = 5.0
    warmup = max(profile.warmup_min_seconds, profile.warmup_min_iterations * latency_ms / 1000)
    timed = max(profile.min_seconds, profile.min_iterations * latency_ms / 1000)
    return _OVERHEAD_S + min(warmup, profile.warmup_max_seconds) + min(timed, profile.max_seconds)
