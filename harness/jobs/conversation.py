"""Reads what the agent says by a job's grammar, and hands each event on as it comes. All is untrusted until here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from harness.errors import AgentError, CommandTimeout
from harness.jobs.base import START, Event, Failure, Hello, Job, Step
from harness.transports import Stream


def listen(stream: Stream, job: Job[Any], patience_s: float, agent_sha256: str | None = None) -> Iterator[Event]:
    """Yield events as they come until the job's last one.

    Each silence, the lines, their bytes and the time of all together (the sum of the silences allowed) are bounded. A
    silence, a malformed answer, an early end, and an agent that is not the one of `agent_sha256` become a Failure, the
    last event. Raises ConnectError.
    """
    step, size = START, 0
    grammar = job.grammar
    end = time.monotonic() + job.total_s(patience_s)
    for _ in range(job.max_lines):
        silence_s = step.planned_s + patience_s
        left_s = max(0.0, end - time.monotonic())
        try:
            if not left_s:
                raise CommandTimeout("all has taken too long")
            line = stream.read_line(min(silence_s, left_s))
        except CommandTimeout:
            words = f"no answer for {silence_s:.0f} s" if silence_s <= left_s else "it took longer than all may take"
            yield _failure(step, "silent", f"{words} while {step.doing}")
            return
        except AgentError as exc:
            yield _failure(step, "malformed", str(exc))
            return
        size += len(line or b"")
        event = _understood(line, size, step, job, agent_sha256)
        yield event
        if type(event) not in grammar:
            return
        step = grammar[type(event)]
    yield _failure(step, "malformed", f"the agent said more than {job.max_lines} lines")


def _understood(line: bytes | None, size: int, step: Step, job: Job[Any], agent_sha256: str | None) -> Event:
    if line is None:
        return _failure(step, "ended", "")
    if size > job.max_bytes:
        return _failure(step, "malformed", f"the agent said more than {job.max_bytes >> 20} MiB")
    try:
        event = parse(line, job.events)
    except AgentError as exc:
        return _failure(step, "malformed", str(exc))
    if not isinstance(event, (Failure, *step.follows)):
        due = " or ".join(kind.word() for kind in step.follows)
        return _failure(step, "malformed", f"the agent said {event.event} where {due} was due")
    if isinstance(event, Hello) and agent_sha256 not in (None, event.agent_sha256):
        return _failure(step, "malformed", "the agent's file on the device is not the one that was pushed")
    return event


def is_greeted(events: Sequence[Event]) -> bool:
    """Tell whether the right agent started at all; else its file, or the Python that runs it, is gone or damaged."""
    first = events[0] if events else None
    return not (isinstance(first, Failure) and first.kind in ("ended", "malformed"))


def parse(line: bytes, kinds: tuple[type[Event], ...]) -> Event:
    """Return the event in one line. Raises AgentError for anything the protocol does not allow."""
    try:
        return _adapter(kinds).validate_json(line)
    except (ValidationError, RecursionError) as exc:
        raise AgentError(f"the agent's answer is malformed ({_wrong(exc, line)})"[:500]) from exc


def _wrong(exc: ValidationError | RecursionError, line: bytes) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deep"
    first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":  # a Python that prints something by itself?
        where = f"it said {line[:80].decode('ascii', 'replace')!r}"
    return f"{where}: {first['msg']}"


@cache
def _adapter(kinds: tuple[type[Event], ...]) -> TypeAdapter[Event]:
    union: Any = Failure | Hello
    for kind in kinds:
        union |= kind
    return TypeAdapter(Annotated[union, Field(discriminator="event")])


def _failure(step: Step, kind: Literal["silent", "ended", "malformed"], message: str) -> Failure:
    return Failure(event="error", phase=step.doing, kind=kind, message=message)
