"""A device that is none: it answers as an agent does, with latencies that are made up, and says so in all it says.

For trying out fleets of any size, and with a handler of one's own for tests of everything above a transport.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictInt

from harness.agent import PROTOCOL
from harness.errors import AgentError, CommandTimeout, ConnectError, TransferError
from harness.transports.base import Completed, Stream, Transport
from harness.transports.kind import Kind, Named

# Gets the command and its standard input; yields lines of standard output. An exception it raises is the transport's,
# None instead of a line is silence until the time-out.
Handler = Callable[[Sequence[str], bytes], Iterator[bytes | None]]

_WORD = "simulated"
_NOTHING_RAN = "nothing ran: this device is simulated, its latencies are made up"
# What a device may tell beyond the time that its host saw pass before nobody believes it.
_UNSEEN_S = 0.08

Event = dict[str, Any]


class Simulated(Kind):
    """Latencies around `latency_ms`: cases differ by factors of exp(±spread), samples of a case by a tenth of that.

    The same `seed` gives the same figures. A restart takes `restart_s`, and as long as it tells to have measured where
    that is more than a moment.
    """

    root: ClassVar[str | None] = "/simulated"

    latency_ms: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    spread: Annotated[float, Field(ge=0, le=2)] = 0.1
    seed: StrictInt = 0
    restart_s: Annotated[float, Field(ge=0, le=3600)] = 0.0

    def connect(self, device: Named, known_hosts: Path | None) -> Transport:
        return SimulatedDevice(device.name, self)

    def where(self, _device: Named) -> str:
        return "nowhere"


class SimulatedTransport(Transport):
    """Answers commands with `handler` and keeps pushed files in `files`."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.files: dict[PurePosixPath, bytes] = {}
        self._closed = False

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        stream = self.stream(command, stdin=stdin)
        lines = []
        while (line := stream.read_line(timeout_s)) is not None:
            lines.append(line + b"\n")
        return Completed(0, b"".join(lines), b"")

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        if self._closed:
            raise ConnectError("the device was let go")
        return SimulatedStream(self.handler(command, stdin))

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        try:
            self.files[target] = source.read_bytes()
        except OSError as exc:
            raise TransferError(f"{source} cannot be read: {exc.strerror}") from exc

    def pull(self, source: PurePosixPath, target: Path) -> None:
        if source not in self.files:
            raise TransferError(f"{source}: no such file on the device")
        target.write_bytes(self.files[source])

    def close(self) -> None:
        self._closed = True


class SimulatedStream(Stream):
    """Lines of a handler."""

    def __init__(self, lines: Iterator[bytes | None]) -> None:
        self._lines = lines

    def read_line(self, timeout_s: float) -> bytes | None:
        for line in self._lines:
            if line is None:
                raise CommandTimeout(f"no answer within {timeout_s:g} s")
            return line
        return None

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> Completed:
        return Completed(0, b"", b"")


class SimulatedDevice(SimulatedTransport):
    """Does the agent's jobs by itself."""

    has_shell = False

    def __init__(self, name: str, kind: Simulated) -> None:
        super().__init__(self._answer)
        self._name = name
        self._kind = kind
        self._asked: Counter[str] = Counter()

    def _answer(self, command: Sequence[str], stdin: bytes) -> Iterator[bytes | None]:
        jobs: Mapping[str, Callable[[Event], Iterator[Event | None]]] = {
            "probe": self._probe,
            "latency": self._latency,
            "hold": self._hold,
        }
        try:
            request = json.loads(stdin)
            job = jobs[request["job"]]
        except (ValueError, TypeError, KeyError) as exc:
            raise AgentError(f"{self._name} is simulated: all it can do is {', '.join(jobs)}") from exc
        agent = hashlib.sha256(self.files.get(PurePosixPath(command[-1]), b"")).hexdigest()
        said = {"protocol": PROTOCOL, "agent_version": _WORD, "agent_sha256": agent, "python": _WORD, "machine": _WORD}
        for event in chain([{"event": "hello", **said}], job(request)):
            yield json.dumps(event).encode() if event else None

    def _probe(self, request: Event) -> Iterator[Event]:
        """Everything is there: nothing needs to be pushed to a device that reads nothing."""
        system = dict.fromkeys(("python", "implementation", "machine", "kernel", "os", "cpu", "board"), _WORD)
        versions = dict.fromkeys(request["backends"], _WORD)
        yield {"event": "probe", "system": system, "backends": versions, "missing": [], "telemetry": {}}

    def _hold(self, _request: Event) -> Iterator[Event | None]:
        yield {"event": "held"}
        yield None

    def _latency(self, request: Event) -> Iterator[Event]:
        kind, options, profile = self._kind, request["options"], request["profile"]
        if profile.get("span_seconds"):
            why = "a simulated device has no minutes to show a curve of"
            yield {"event": "error", "phase": "load", "kind": "unsupported", "message": why}
            return
        case = json.dumps([kind.seed, self._name, request["backend"], request["model_sha256"], options])
        self._asked[case] += 1
        (level_ns,) = _around(case, kind.latency_ms * 1e6, kind.spread, 1)
        counts = (1, int(profile["warmup_min_iterations"]), int(profile["min_iterations"]))
        drawn = _around(f"{case} {self._asked[case]}", level_ns, kind.spread / 10, sum(counts))
        warmup, timed = drawn[1 : 1 + counts[1]], drawn[1 + counts[1] :]
        yield {"event": "imported", "backend_version": _WORD, "import_ns": 0}
        actual = {"threads": options.get("threads", 1), "fallback": _NOTHING_RAN}
        yield {"event": "loaded", "load_ns": 0, "actual": actual}
        yield {"event": "first", "first_ns": drawn[0]}
        yield {"event": "verified", "outputs": []}
        yield {"event": "warmup", "ns": warmup, "stable": True}
        time.sleep(max(kind.restart_s, sum(drawn) / 1e9 - _UNSEEN_S, 0))
        yield {"event": "samples", "ns": timed}
        yield {"event": "done", "peak_rss_bytes": 0, "telemetry_before": {}, "telemetry_after": {}}


def _around(seed: str, level_ns: float, spread: float, count: int) -> list[int]:
    """Return that many durations in ns, by factors of exp(±spread) around `level_ns`; the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [max(1, int(level_ns * math.exp(draw.gauss(0, spread)))) for _ in range(count)]
