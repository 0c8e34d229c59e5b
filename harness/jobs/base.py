"""What every job is to the host: a request out, events in by a grammar, a record of what came of it."""

from __future__ import annotations

import json
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from harness.agent import PROTOCOL
from harness.errors import AgentError
from harness.transports import Completed
from results.records import MAX_NESTING, Telemetry, Text, is_too_deep

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R")
E = TypeVar("E", bound="Event")

MAX_TREE_BYTES = 1 << 16
MAX_TOTAL_S = 86_000.0  # a record holds no longer time than a day


def _bounded(tree: dict[str, Any]) -> dict[str, Any]:
    """Bound the free-form parts of an event; they are stored with every restart, and must be read again."""
    if is_too_deep(tree):
        raise ValueError(f"nested more than {MAX_NESTING} deep")
    if len(json.dumps(tree, allow_nan=False)) > MAX_TREE_BYTES:
        raise ValueError("longer than can be believed")
    return tree


Tree = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""What a device says in a form of its own, bounded in size and depth."""

Reading = Annotated[Telemetry, BeforeValidator(Telemetry.of)]
"""The state of a device as it tells it; what makes no sense in it is unknown."""


class Said(BaseModel):
    """Something that a device said, checked."""

    # A newer agent may say more than this host knows; that much is no error.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Event(Said):
    """One line of the agent's answer; each kind has its own `event`."""

    event: str

    @classmethod
    def word(cls) -> str:
        """Return its `event`."""
        (word,) = get_args(cls.model_fields["event"].annotation)
        return str(word)


class Hello(Event):
    """The agent is up; the first line of every answer."""

    event: Literal["hello"]
    protocol: Literal[2]
    agent_version: Text
    agent_sha256: Annotated[str, Field(max_length=64)]
    python: Text
    machine: Text


class Failure(Event):
    """The job ended without its last event, and why; the last line.

    `silent`, `ended` and `malformed` are found by the host: no answer, a process that ended (with an empty message: its
    exit code and what it printed last say more), an answer that the protocol does not allow.
    """

    event: Literal["error"]
    phase: Text
    kind: Literal["unsupported", "damaged", "wrong-output", "memory", "failed", "silent", "ended", "malformed"]
    message: Text


@dataclass(frozen=True)
class Step:
    """A state between two events: what the agent does in it (for messages), which events may end it.

    It may be silent for `planned_s` and the user's patience. `error` may end every state.
    """

    doing: str
    follows: tuple[type[Event], ...]
    planned_s: float = 0.0


Grammar = Mapping[type[Event], Step]
"""The state after each kind of event, from Hello on; an event without one is the last."""

START = Step("starting", (Hello,))


@dataclass(frozen=True)
class Terms:
    """What a request says of the device and its user: how patient, on which cores, by which file it is held.

    With `shield` a measurement may take real-time priority; at `critical_c` minutes without a pause end early.
    """

    patience_s: float
    cores: tuple[int, ...] | None = None
    lock: str | None = None
    shield: bool = True
    critical_c: float | None = None


@dataclass(frozen=True)
class Ended:
    """How a conversation went besides what was said: who spoke, when, how long, how the process ended.

    `program` is what was started on the device, `wall_ns` the time this host waited.
    """

    completed: Completed
    program: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    wall_ns: int = 0


class Job(ABC, Generic[R]):
    """One kind of work that the agent can do, and what is kept of it: an R.

    `name` is its key in `harness.agent.jobs`.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def grammar(self) -> Grammar:
        """In which order the events come, and how long each may take."""

    @property
    def events(self) -> tuple[type[Event], ...]:
        """The kinds of events that it may say besides Hello and Failure."""
        return tuple(dict.fromkeys(kind for step in self.grammar.values() for kind in step.follows))

    @property
    def max_lines(self) -> int:
        """How many lines the agent may say."""
        return 64

    @property
    def max_bytes(self) -> int:
        """How much all of them may be."""
        return 64 << 20

    @abstractmethod
    def request(self, terms: Terms) -> DataclassInstance:
        """Return the `Request` of the agent's module of that name."""

    @abstractmethod
    def record(self, events: Sequence[Event], ended: Ended) -> R:
        """Return what came of it. The events keep to the grammar; the last is a Failure when something went wrong.

        Raises AgentError when there is nothing to be kept.
        """

    def total_s(self, patience_s: float) -> float:
        """Return how long all of it may take, in seconds."""
        return min(MAX_TOTAL_S, sum(step.planned_s + patience_s for step in (START, *self.grammar.values())))

    def line(self, terms: Terms) -> bytes:
        """Return the request as the one line that the agent reads."""
        return json.dumps({"protocol": PROTOCOL, "job": self.name, **asdict(self.request(terms))}).encode() + b"\n"


def answer(kind: type[E], events: Sequence[Event], ended: Ended) -> E:
    """Return the last event of a job that must end with this one. Raises AgentError, which says why it did not."""
    last = events[-1]
    if isinstance(last, kind):
        return last
    assert isinstance(last, Failure)  # noqa: S101 - by the grammar there is no other
    raise AgentError(why(last, ended))


def why(failure: Failure, ended: Ended) -> str:
    """Say in words why a job ended early: as the agent said, or by how its process ended."""
    completed = ended.completed
    if completed.exit_code in {126, 127}:
        return (
            f"{ended.program} is not there or cannot be run; `bench devices setup` brings a Python with the "
            "runtimes, or name another with python = … in devices.toml"
        )
    if failure.message:
        return failure.message
    if completed.exit_code is not None:
        how = f"it ended with code {completed.exit_code}"
    elif completed.signal == signal.SIGKILL:
        how = "the process was killed or crashed (SIGKILL, as the kernel does when memory runs out)"
    else:
        how = f"the process was killed or crashed{_by_signal(completed.signal)}"
    return f"{how}; last printed: {completed.last_words}" if completed.last_words else how


def _by_signal(number: int | None) -> str:
    try:
        return f" ({signal.Signals(number).name})" if number is not None else ""
    except ValueError:
        return f" (signal {number})"
