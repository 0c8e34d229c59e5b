"""Programs that a backend runs on the device: without a shell, their output bounded, what they take told in errors."""

import platform
import subprocess
import sys
from typing import Any, List

from backends.base import Unsupported
from backends.messages import shortened

# Of a program's output so much is kept from its beginning, and as much from its end.
_KEPT_BYTES = 1 << 19


def output(command: List[str]) -> str:
    """Run a program and return the beginning and the end of what it printed.

    Raises Unsupported where it cannot be started, RuntimeError where it fails.
    """
    out = subprocess.PIPE
    try:
        process: Any = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    except OSError as exc:
        raise Unsupported("the tool {} cannot be started: {}".format(command[0], _why(exc))) from exc
    with process:
        begin, end = process.stdout.read(_KEPT_BYTES), b""
        for chunk in iter(lambda: process.stdout.read(1 << 16), b""):
            end = (end + chunk)[-_KEPT_BYTES:]
    text = (begin + end).decode("utf-8", "replace")  # type: str
    if process.returncode != 0:
        said = (text.strip().splitlines() or ["nothing"])[-1]
        raise RuntimeError("the tool ended with code {} and said: {}".format(process.returncode, shortened(said, 2000)))
    return text


def python(module: str) -> List[str]:
    """Return a command that calls `main` of a module in a process of its own, with the packages that this one has."""
    folders = [folder for folder in sys.path if folder and not folder.endswith(".pyz")]
    code = "import sys; sys.path[:] = {!r}; from {} import main; main()".format(folders, module)
    return [sys.executable, "-I", "-c", code]


def _why(exc: OSError) -> str:
    """Say why a file that is there cannot be started, and what to do."""
    if isinstance(exc, PermissionError):
        return "{}; its folder may be mounted noexec: name another with root = ... in devices.toml".format(exc.strerror)
    return "{}; it is not for this machine ({}) or its C library: name a copy that is".format(
        exc.strerror, platform.machine()
    )
