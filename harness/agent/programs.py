"""Programs on the device that are asked for what no file tells: without a shell, bounded in time and output."""

import os
import select
import signal
import subprocess
import time

LIMIT_S = 2.0
LIMIT_BYTES = 1 << 16


def printed(program: str, *arguments: str) -> str:
    """Return what a program prints; "" when it is not there, fails, or is not done after LIMIT_S or LIMIT_BYTES."""
    if not os.path.exists(program):
        return ""
    try:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    until = time.monotonic() + LIMIT_S
    with process:
        try:
            said = _read(process.stdout.fileno(), until)  # type: ignore[union-attr]
            process.wait(max(0.0, until - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            said = b""
            # its group, since a child of its own may hold the pipe
            os.killpg(process.pid, signal.SIGKILL)
    return said.decode("utf-8", "replace") if process.returncode == 0 else ""


def _read(pipe: int, until: float) -> bytes:
    """Return all that comes through a pipe. Raises TimeoutError when its end does not come in time or LIMIT_BYTES."""
    said, waiting = b"", select.poll()
    waiting.register(pipe, select.POLLIN)
    while len(said) <= LIMIT_BYTES:
        left_ms = (until - time.monotonic()) * 1000
        if left_ms <= 0 or not waiting.poll(left_ms):
            break
        block = os.read(pipe, LIMIT_BYTES)
        if not block:
            return said
        said += block
    raise TimeoutError
