"""What preparing models may take of this machine: a foreign file can ask for any amount of memory and time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.errors import ModelError

MEMORY, SECONDS = "BENCH_PREPARE_MEMORY_GB", "BENCH_PREPARE_SECONDS"

_SHARE = 0.75  # of the machine's memory, or of that of the container
_DEFAULT_S = 900.0
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Limits:
    """Memory of all workers together, what they have started included, and how long each may take."""

    memory_bytes: float = math.inf
    seconds: float = _DEFAULT_S

    @classmethod
    def from_environment(cls) -> Limits:
        """What the user's environment says, or the defaults. Raises ModelError for what is no positive number."""
        return cls(_positive(MEMORY, _SHARE * _memory() / 1e9) * 1e9, _positive(SECONDS, _DEFAULT_S))

    @property
    def memory_exceeded(self) -> str:
        """Why a worker was ended, and what to do."""
        most = f"more memory than the {self.memory_bytes / 1e9:.3g} GB that preparing models may take,"
        return f"it took {most} and was ended; {MEMORY} in the environment allows another number"

    @property
    def time_exceeded(self) -> str:
        """Why a worker was ended, and what to do."""
        most = f"longer than {self.seconds:.0f} s"
        return f"it took {most} and was ended; {SECONDS} in the environment allows another number"


def memory_of(pid: int) -> int:
    """Bytes in memory or swapped out of a process and of all that it has started; 0 where the system does not tell.

    Address space would be no measure: PyTorch and the converters reserve more than three times what they use.
    """
    return sum(_resident(process) for process in _family(pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError, ValueError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def _resident(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS:", "VmSwap:")))
    return 0


def _memory() -> float:
    """Bytes of this machine, or of the container that this runs in."""
    bounds = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    for file in _CGROUPS:
        with suppress(OSError, ValueError):  # there is another kind of cgroups, or "max"
            bounds.append(float(file.read_text()))
    return min(bounds)


def _positive(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ModelError(f"{name}={text}: must be a number greater than 0")
    return value
