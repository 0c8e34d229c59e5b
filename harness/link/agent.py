"""One restart, seen from the host: ask the agent, and turn whatever happens into a `Restart` record."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import backends
from harness.errors import AgentError, TransportError
from harness.link import protocol
from harness.transports import Completed, Transport
from results.records import Case, Profile, Restart

# How long one phase may be silent beyond what the profile plans for it: a slow board loads a large model for minutes.
DEFAULT_PATIENCE_S = 120.0


@dataclass(frozen=True)
class Target:
    """A case with what the agent needs to run it: files on the device, inputs, tolerance.

    `tools` are the options of the case that name a pushed file, with its path there.
    """

    case: Case
    model: PurePosixPath
    model_sha256: str
    io: PurePosixPath
    io_sha256: str
    inputs: Sequence[dict[str, Any]]
    tolerance: float
    tools: Mapping[str, PurePosixPath] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentOnDevice:
    """How the agent is started on one device."""

    transport: Transport
    command: Sequence[str]
    sha256: str
    patience_s: float = DEFAULT_PATIENCE_S
    cores: Sequence[int] | None = None
    lock: PurePosixPath | None = None

    def probe(
        self, backend_names: Sequence[str], files: Sequence[dict[str, Any]], cache: dict[str, Any] | None = None
    ) -> protocol.Probe:
        """Ask what the device is and has, and which of `files` ({path, size_bytes, room_bytes}) are missing.

        With `cache` ({root, max_bytes}) room is made for them. Raises TransportError.
        """
        packages = {name: list(backends.find(name).packages) for name in backend_names}
        line = protocol.request_line(
            op="probe",
            backends=packages,
            files=list(files),
            cache=cache,
            give_up_after_s=self.patience_s,
            lock=str(self.lock) if self.lock else None,
        )
        stream = self.transport.stream(self.command, stdin=line)
        try:
            last = protocol.events(stream, lambda _: self.patience_s)[-1]
        finally:
            ended = stream.close()
        if isinstance(last, protocol.Probe):
            return last
        raise self.unusable(ended, last.message if isinstance(last, protocol.Failure) else "")

    def unusable(self, ended: Completed, said: str = "") -> AgentError:
        """Return the error for an agent that did not do what it was asked; without its own words by how it ended."""
        if ended.exit_code in {126, 127}:
            said = (
                f"{self.command[0]} is not there or cannot be run; `bench devices setup` brings a Python with the "
                "runtimes, or name another with python = … in devices.toml"
            )
        return AgentError(f"the agent does not work there: {said or _how_it_ended(ended)}")

    def restart(self, target: Target, profile: Profile, round_: int, attempt: int) -> Restart:
        """Run one restart. Never raises for what the device does: that is in the record."""
        started = datetime.now(UTC)
        begun = time.monotonic_ns()
        limits = _limits(profile, self.patience_s)
        line = protocol.request_line(
            backend=target.case.backend,
            backend_class=backends.reference(target.case.backend),
            model=str(target.model),
            model_sha256=target.model_sha256,
            io=str(target.io),
            io_sha256=target.io_sha256,
            inputs=list(target.inputs),
            options={
                **target.case.options,
                **{option: str(path) for option, path in target.tools.items()},
                "threads": target.case.threads,
                "precision": target.case.precision,
            },
            tolerance=target.tolerance,
            profile=profile.model_dump(),
            give_up_after_s=sum(limits.values()),
            cores=self.cores,
            lock=str(self.lock) if self.lock else None,
        )
        fields: dict[str, Any] = {
            "case_id": target.case.case_id,
            "round": round_,
            "attempt": attempt,
            "started_at": started.isoformat(timespec="milliseconds"),
        }
        try:
            stream = self.transport.stream(self.command, stdin=line)
            try:
                said = protocol.events(stream, lambda state: limits.get(state, self.patience_s))
            finally:
                ended = stream.close()
            fields.update(_collect(said, ended))
        except TransportError as exc:
            fields.update(outcome="offline", cause="offline", reason=str(exc)[:4000])
        if fields.get("agent"):
            fields["agent"]["agent_sha256"] = self.sha256
        return Restart(**fields, wall_ns=time.monotonic_ns() - begun)


def _limits(profile: Profile, patience_s: float) -> dict[str, float]:
    """Return the longest silence after each event, in seconds."""
    planned = {"verified": profile.warmup_max_seconds, "warmup": profile.max_seconds}
    states = ("start", "hello", "loaded", "first", "verified", "warmup", "samples")
    return {state: planned.get(state, 0.0) + patience_s for state in states}


def _collect(said: Sequence[protocol.Event], ended: Completed) -> dict[str, Any]:
    """Gather the events' fields under the names of `Restart`."""
    fields: dict[str, Any] = {}
    for event in said:
        match event:
            case protocol.Hello():
                versions = event.model_dump(include={"agent_version", "python", "machine", "backend_version"})
                fields.update(agent=versions, import_ns=event.import_ns)
            case protocol.Loaded():
                fields.update(load_ns=event.load_ns, actual=event.actual)
            case protocol.First():
                fields["first_ns"] = event.first_ns
            case protocol.Verified():
                fields.update(verified=event.max_abs_diff is not None, max_abs_diff=event.max_abs_diff)
            case protocol.Warmup():
                fields.update(warmup_ns=event.ns, warmup_stable=event.stable)
            case protocol.Timed():
                fields["samples_ns"] = event.ns
            case protocol.Done():
                fields.update(
                    peak_rss_bytes=event.peak_rss_bytes,
                    telemetry_before=event.telemetry_before,
                    telemetry_after=event.telemetry_after,
                )
                fields["actual"] = {**fields.get("actual", {}), **event.actual}
            case protocol.Failure():
                fields.update(_failed(event, ended))
    if "outcome" not in fields:
        # An agent that skips its phases is as good as one that never ran.
        complete = "peak_rss_bytes" in fields and "samples_ns" in fields
        fields["outcome"] = "ok" if complete else "failed"
        fields.setdefault("reason", "" if complete else "the agent ended without having measured anything")
    return fields


def _failed(event: protocol.Failure, ended: Completed) -> dict[str, Any]:
    message = event.message or _how_it_ended(ended)
    reason = message if event.kind == "unsupported" else f"{event.phase}: {message}"
    outcome = "unsupported" if event.kind == "unsupported" else "failed"
    return {"outcome": outcome, "cause": None if event.kind == "failed" else event.kind, "reason": reason[:4000]}


def _how_it_ended(ended: Completed) -> str:
    """Say in words how a process ended that did not say it itself."""
    if ended.exit_code is not None:
        how = f"it ended with code {ended.exit_code}"
    elif ended.signal == signal.SIGKILL:
        how = "the process was killed or crashed (SIGKILL, as the kernel does when memory runs out)"
    else:
        how = f"the process was killed or crashed{_by_signal(ended.signal)}"
    tail = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"{how}; last printed: {tail[0][:300]}" if tail else how


def _by_signal(number: int | None) -> str:
    try:
        return f" ({signal.Signals(number).name})" if number is not None else ""
    except ValueError:
        return f" (signal {number})"


def expected_seconds(profile: Profile, latency_ms: float | None, overhead_s: float = 0.35) -> float:
    """Return about how long one restart takes: its planned times, more when inferences are slow."""
    if latency_ms is None or not math.isfinite(latency_ms):
        latency_ms = 5.0
    warmup = max(profile.warmup_min_seconds, profile.warmup_min_iterations * latency_ms / 1000)
    timed = max(profile.min_seconds, profile.min_iterations * latency_ms / 1000)
    return overhead_s + min(warmup, profile.warmup_max_seconds) + min(timed, profile.max_seconds)
