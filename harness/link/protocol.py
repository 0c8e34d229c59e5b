"""The host's side of the agent's protocol: requests out, events in. What a device says is untrusted until here."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from harness.agent import PROTOCOL
from harness.errors import AgentError, CommandTimeout
from harness.transports import Stream
from results.records import MAX_NESTING, Nanoseconds, Samples, Telemetry, Text, is_too_deep

Reading = Annotated[Telemetry, BeforeValidator(Telemetry.of)]
Size = Annotated[int, Field(ge=0, le=2**60)]

MAX_LINES = 64
MAX_TREE_BYTES = 1 << 16


class _Event(BaseModel):
    # A newer agent may say more than this host knows; that much is no error.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Hello(_Event):
    """The agent is up and has imported its runtime."""

    event: Literal["hello"]
    protocol: int
    agent_version: Text
    python: Text
    machine: Text
    backend_version: Text
    import_ns: Nanoseconds


class Loaded(_Event):
    """The model is loaded; `actual` is what really runs."""

    event: Literal["loaded"]
    load_ns: Nanoseconds
    actual: dict[str, Any]


class First(_Event):
    """The first inference."""

    event: Literal["first"]
    first_ns: Nanoseconds


class Verified(_Event):
    """The output agrees with the reference; None where there is no reference."""

    event: Literal["verified"]
    max_abs_diff: float | None


class Warmup(_Event):
    """Every warm-up inference, and whether the times became stable."""

    event: Literal["warmup"]
    ns: Samples
    stable: bool


class Timed(_Event):
    """Every timed inference."""

    event: Literal["samples"]
    ns: Annotated[Samples, Field(min_length=1)]


class Done(_Event):
    """The restart is complete; `actual` adds to that of `loaded` what was found out after the last inference."""

    event: Literal["done"]
    peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)]
    telemetry_before: Reading
    telemetry_after: Reading
    actual: dict[str, Any] = Field(default_factory=dict)


class Failure(_Event):
    """The restart ended without samples, and why."""

    event: Literal["error"]
    phase: Text
    kind: Literal["unsupported", "damaged", "failed"]
    message: Text


class Cache(_Event):
    """What a device's cache holds after room was made in it; all sizes in bytes.

    `needed_bytes` are still to be pushed, `kept_bytes` are there and needed by the run. When they do not fit, nothing
    was removed.
    """

    fits: bool
    needed_bytes: Size
    kept_bytes: Size
    used_bytes: Size
    free_bytes: Size
    bound_bytes: Size
    removed: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=200)]
    removed_bytes: Size


class Busy(_Event):
    """Another host has the device, for `held_s` if that is known; `over` says that the wait for it is."""

    event: Literal["busy"]
    owner: Annotated[str, Field(max_length=200)]
    held_s: Annotated[float, Field(ge=0)] | None = None
    over: bool


class Probe(_Event):
    """What a device is and has, and who has it."""

    event: Literal["probe"]
    system: dict[str, Any]
    backends: dict[str, Text | None]
    missing: list[Text]
    cache: Cache | None = None
    telemetry: Reading
    busy: Busy | None = None


class Held(_Event):
    """The device is ours until the pipe closes."""

    event: Literal["held"]


Event = Annotated[
    Hello | Loaded | First | Verified | Warmup | Timed | Done | Failure | Probe | Held | Busy,
    Field(discriminator="event"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def request_line(**fields: Any) -> bytes:
    """Return the request as the one line the agent reads."""
    return json.dumps({"protocol": PROTOCOL, **fields}).encode() + b"\n"


def parse(line: bytes) -> Event:
    """Return the event in one line. Raises AgentError for anything the protocol does not allow."""
    try:
        event = _EVENT.validate_json(line)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "json_invalid":  # a Python that prints something by itself?
            where = f"it said {line[:80].decode('ascii', 'replace')!r}"
        raise AgentError(f"the agent's answer is malformed ({where}: {first['msg']})"[:500]) from exc
    for field in ("actual", "system"):
        _check_size(getattr(event, field, {}))
    return event


def _check_size(tree: Any) -> None:
    """Bound the free-form parts of an event; they are stored with every restart."""
    if is_too_deep(tree):
        raise AgentError(f"the agent's answer is malformed (nested more than {MAX_NESTING} deep)")
    try:
        size = len(json.dumps(tree, allow_nan=False))
    except ValueError as exc:
        raise AgentError("the agent's answer is malformed (a number that is not finite)") from exc
    if size > MAX_TREE_BYTES:
        raise AgentError("the agent's answer is malformed (more telemetry than can be believed)")


Limit = Callable[[str], float]

# What the agent is doing after each event, in the words of the message when it stops answering there.
_NEXT = {
    "start": "starting and importing the runtime",
    "hello": "loading the model",
    "loaded": "the first inference",
    "first": "checking the output",
    "verified": "warming up",
    "warmup": "the timed inferences",
    "samples": "ending",
}
_FOLLOWS = dict(pairwise([*_NEXT, "done"]))


def events(stream: Stream, limit_s: Limit) -> list[Event]:
    """Read events until `done`, `probe`, `error` or the end of the output.

    `limit_s` gives the longest silence after an event of that name (`start` before the first). A silence, a malformed
    answer and an early end become a `Failure` at the end of the list, after whatever was said before.
    """
    seen: list[Event] = []
    state = "start"
    for _ in range(MAX_LINES):
        try:
            line = stream.read_line(limit_s(state))
        except CommandTimeout:
            return [*seen, _failure(state, f"no answer for {limit_s(state):.0f} s while {_NEXT.get(state, state)}")]
        except AgentError as exc:
            return [*seen, _failure(state, str(exc))]
        if line is None:
            return [*seen, _failure(state, "")]
        try:
            event = parse(line)
        except AgentError as exc:
            return [*seen, _failure(state, str(exc))]
        is_last = isinstance(event, Failure | Probe)
        # A runtime that measures itself is loaded a second time, by its own account.
        if not is_last and event.event != _FOLLOWS[state] and not event.event == state == "loaded":
            return [*seen, _failure(state, f"the agent said {event.event} where {_FOLLOWS[state]} was due")]
        seen.append(event)
        if is_last or isinstance(event, Done):
            return seen
        state = event.event
    return [*seen, _failure(state, f"the agent said more than {MAX_LINES} lines")]


def _failure(state: str, message: str) -> Failure:
    """An empty message means that the process ended: the caller knows its exit code and what it printed last."""
    return Failure(event="error", phase=_NEXT.get(state, state), kind="failed", message=message)
