"""One restart: read the request, load, verify, warm up, measure, and say so line by line."""

import faulthandler
import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Tuple

from backends.base import Aggregate, Session, Unsupported
from harness.agent import PROTOCOL, VERSION, measure, telemetry, verify

MAX_REQUEST_BYTES = 16 << 20
MAX_MESSAGE = 2000

_NOISE = (
    r"Exception from \S+:\d+:\s*",  # OpenVINO
    r"Check '.*' failed at \S+:\d+:\s*",
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ",
    r"Load model from \S+ failed:\s*",
    # A place in ONNX Runtime's sources, with the signature of the function there.
    r"(?<!\S)\S+\.(?:cc|h|cpp):\d+\s*"
    r"(?:[\w:~<>,&*\s]*::[^\s()]+\([^()]*(?:\([^()]*\)[^()]*)*\)(?: const)?\s*)?",
)


class Damaged(Exception):
    """A file on the device no longer has the hash it was pushed with."""


def claim_stdout() -> Callable[[Dict[str, Any]], None]:
    """Keep standard output for the protocol and send whatever else is printed there to standard error.

    Done on file descriptors, since the runtimes print from C++.
    """
    channel = os.fdopen(os.dup(1), "w", encoding="ascii", errors="replace")
    os.dup2(2, 1)

    def emit(event: Dict[str, Any]) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    return emit


def end_with_host() -> None:
    """End this process when the host closes the pipe: a measurement nobody waits for only disturbs the next one."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def read_request() -> Dict[str, Any]:
    """Read the one line that is the request, from the descriptor: a buffered reader would swallow what comes behind."""
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk or len(line) > MAX_REQUEST_BYTES:
            raise ValueError("no request on standard input")
        line += chunk
    request = json.loads(line.decode("utf-8"))
    if request.get("protocol") != PROTOCOL:
        raise ValueError("protocol {} asked for, this agent speaks {}".format(request.get("protocol"), PROTOCOL))
    return dict(request)


def check_file(path: str, sha256: str) -> None:
    """Raise Damaged when the file is not there or not what its name says. Reading it also warms the page cache."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as exc:
        raise Damaged("{}: {}".format(path, exc.strerror)) from exc
    if digest.hexdigest() != sha256:
        raise Damaged("{} does not have the hash it was pushed with".format(path))


def load_arrays(request: Dict[str, Any]) -> Tuple[List[Tuple[str, Any]], List[Any]]:
    """Return the inputs as (name, array) and the reference outputs, from the artifact's io.npz."""
    import numpy

    with numpy.load(request["io"], allow_pickle=False) as arrays:
        inputs = [
            # asarray, since ascontiguousarray makes a vector of a scalar
            (spec["name"], numpy.asarray(arrays["in{}".format(index)], order="C"))
            for index, spec in enumerate(request["inputs"])
        ]
        count = sum(key.startswith("out") for key in arrays.files)
        return inputs, [arrays["out{}".format(index)] for index in range(count)]


def pin(cores: List[int]) -> None:
    """Keep this process and the threads it will start on these cores. Raises Unsupported."""
    there = sorted(os.sched_getaffinity(0))
    if not set(cores) <= set(there):
        raise Unsupported("cores {} are asked for; this device lets us use {}".format(spans(cores), spans(there)))
    os.sched_setaffinity(0, cores)


def spans(cores: List[int]) -> str:
    """Return a sorted list of cores like "0,4-7"."""
    found = []  # type: List[List[int]]
    for core in cores:
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ",".join(str(first) if first == last else "{}-{}".format(first, last) for first, last in found)


class Restart:
    """Carries one request through its phases; `phase` is the one it is in, for the error message."""

    def __init__(self, request: Dict[str, Any], emit: Callable[[Dict[str, Any]], None]) -> None:
        self.request = request
        self.emit = emit
        self.phase = "files"

    def execute(self) -> None:
        """Go through all phases. Raises whatever goes wrong."""
        request = self.request
        self._settle()
        before = telemetry.snapshot()
        check_file(request["model"], request["model_sha256"])
        check_file(request["io"], request["io_sha256"])
        session = self._load()
        self.phase = "inputs"
        inputs, references = load_arrays(request)
        session.bind(inputs)
        self.phase = "timed inferences"
        aggregate = session.aggregate(request["profile"])
        if aggregate:
            self._tell(aggregate, session)
        else:
            self._time(session, references)
        self.phase = "end"
        after = telemetry.snapshot()
        peak = telemetry.peak_rss_bytes(children=bool(aggregate))
        found = self._examine(session)
        self.emit(
            {
                "event": "done",
                "peak_rss_bytes": peak,
                "telemetry_before": before,
                "telemetry_after": after,
                "actual": found,
            }
        )

    def _time(self, session: Session, references: List[Any]) -> None:
        request = self.request
        self.phase = "first inference"
        self.emit({"event": "first", "first_ns": measure.time_once(session.run)})
        self.phase = "check of the output"
        # Outputs that nobody compares are not asked for: some (text, sequences) have no NumPy array.
        worst = verify.compare(session.outputs(), references, float(request["tolerance"])) if references else None
        self.emit({"event": "verified", "max_abs_diff": worst})
        self.phase = "warm-up"
        warmup, stable = measure.warm_up(session.run, request["profile"])
        self.emit({"event": "warmup", "ns": warmup, "stable": stable})
        self.phase = "timed inferences"
        samples = measure.measure(session.run, request["profile"])
        self.emit({"event": "samples", "ns": samples})

    def _examine(self, session: Session) -> Dict[str, Any]:
        """Find out what takes work, when nothing is timed any more. What goes wrong then costs no measurement."""
        try:
            return session.examine()
        except Exception as exc:  # noqa: BLE001 - a runtime may throw anything, and the samples are good
            message = plain("{}: {}".format(type(exc).__name__, exc))[:200]
            return {"fallback": "not known, looking for it failed ({})".format(message)}

    def _tell(self, aggregate: Aggregate, session: Session) -> None:
        """Say what a runtime measured itself; its own load time replaces that of starting it."""
        self.emit({"event": "loaded", "load_ns": aggregate.load_ns, "actual": session.actual()})
        self.emit({"event": "first", "first_ns": aggregate.first_ns})
        self.emit({"event": "verified", "max_abs_diff": None})
        self.emit({"event": "warmup", "ns": [aggregate.warmup_ns], "stable": aggregate.stable})
        self.emit({"event": "samples", "ns": [aggregate.sample_ns]})

    def _settle(self) -> None:
        """Say to a later host that this process measures, and take the cores that were asked for."""
        if self.request.get("lock"):
            from harness.agent.hold import mark_running

            self._running = mark_running(self.request["lock"])
        if self.request.get("cores"):
            pin(self.request["cores"])

    def _load(self) -> Session:
        from backends import load_class

        request = self.request
        self.phase = "import"
        backend = load_class(request["backend_class"])()
        start = time.perf_counter_ns()
        version = backend.version()
        import_ns = time.perf_counter_ns() - start
        self.emit(
            {
                "event": "hello",
                "protocol": PROTOCOL,
                "agent_version": VERSION,
                "python": platform.python_version(),
                "machine": platform.machine(),
                "backend_version": version,
                "import_ns": import_ns,
            }
        )
        self.phase = "load"
        start = time.perf_counter_ns()
        session = backend.load(request["model"], request["inputs"], request["options"])
        load_ns = time.perf_counter_ns() - start
        actual = session.actual()
        if request.get("cores"):
            actual = dict(actual, cores=spans(sorted(os.sched_getaffinity(0))))
        self.emit({"event": "loaded", "load_ns": load_ns, "actual": actual})
        return session


def describe(exc: BaseException, phase: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """Turn what went wrong into the `error` event."""
    kind, message = "failed", "{}: {}".format(type(exc).__name__, exc)
    if isinstance(exc, Unsupported):
        kind, message = "unsupported", str(exc)
    elif isinstance(exc, ImportError) and phase == "import":
        kind = "unsupported"
        message = "{} cannot be imported by {} ({})".format(request.get("backend"), sys.executable, exc)
    elif isinstance(exc, Damaged):
        kind, message = "damaged", str(exc)
    elif isinstance(exc, verify.WrongOutput):
        message = "wrong output: {}".format(exc)
    elif isinstance(exc, MemoryError):
        message = "out of memory"
    return {"event": "error", "phase": phase, "kind": kind, "message": plain(message)[:MAX_MESSAGE]}


def plain(message: str) -> str:
    """Return a runtime's message on one line, without the places in its own sources and the paths of our files."""
    for noise in _NOISE:
        message = re.sub(noise, "", message)
    return " ".join(message.split())


def main() -> int:
    """Serve one request. Returns the exit status: 0 when the last line was `done` or `probe`, else 1."""
    emit = claim_stdout()
    try:
        request = read_request()
    except (ValueError, UnicodeDecodeError) as exc:
        emit({"event": "error", "phase": "request", "kind": "failed", "message": str(exc)[:MAX_MESSAGE]})
        return 1
    if request.get("op") == "hold":
        from harness.agent.hold import hold

        try:
            return hold(request, emit)
        except OSError as exc:
            emit({"event": "error", "phase": "lock", "kind": "failed", "message": str(exc)[:MAX_MESSAGE]})
            return 1
    end_with_host()
    # A C thread ends the process even when an inference hangs with the interpreter locked and the host cannot reach us.
    faulthandler.dump_traceback_later(float(request["give_up_after_s"]), exit=True)
    if request.get("op") == "probe":
        from harness.agent.probe import probe

        emit(probe(request))
        return 0
    restart = Restart(request, emit)
    try:
        restart.execute()
    except Exception as exc:  # noqa: BLE001 - whatever a runtime throws becomes a row, never a hung host
        emit(describe(exc, restart.phase, request))
        return 1
    return 0
