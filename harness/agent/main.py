"""One process, one job: read the request, look the job up, do it, and answer line by line."""

import faulthandler
import json
import os
import platform
import sys
import threading
from typing import Any, Callable, Dict

from harness.agent import PROTOCOL, VERSION, failures, guard, jobs
from harness.agent.files import sha256_of

MAX_REQUEST_BYTES = 16 << 20


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
    if not isinstance(request, dict) or request.pop("protocol", None) != PROTOCOL:
        raise ValueError("this agent speaks protocol {} and was asked for another".format(PROTOCOL))
    return request


def hello() -> Dict[str, Any]:
    """Return the first event: who answers, by the hash of the very file that runs."""
    try:
        sha256 = sha256_of(sys.argv[0]).hexdigest()
    except OSError:
        sha256 = ""
    return {
        "event": "hello",
        "protocol": PROTOCOL,
        "agent_version": VERSION,
        "agent_sha256": sha256,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def main() -> int:
    """Serve one request. Returns the exit status: 0 when the last line was the job's own, 1 when it was `error`."""
    emit = claim_stdout()
    guard.use(sys.argv[0])
    emit(hello())
    phase = "request"
    try:
        fields = read_request()
        job = jobs.find(fields.pop("job", None))
        request = job.Request(**fields)
        phase = "job"
        limit_s = getattr(request, "give_up_after_s", None)
        if limit_s is not None:
            end_with_host()
            # A C thread ends the process even when an inference hangs with the interpreter locked and the host cannot
            # reach us.
            faulthandler.dump_traceback_later(float(limit_s), exit=True)
        return int(job.run(request, emit))
    except Exception as exc:  # noqa: BLE001 - whatever goes wrong becomes an answer, never a hung host
        emit(failures.error(exc, phase))
        return 1
