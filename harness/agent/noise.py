"""What other work takes from an inference: marks, a shield against it, and a fixed piece of work to see the rest by."""

import base64
import hashlib
import os
import resource
import time
import zlib
from typing import Any, List, Optional

from harness.agent.files import number, text

# An inference that waited for a core for more than this share of its time is disturbed.
DISTURBED_SHARE = 0.01

_MAX_THREADS = 64
_PROBE_DATA = bytes(range(256)) * 64


class RunDelay:
    """The time that the threads of this process waited for a core, from the kernel's account of each."""

    name = "schedstat"

    def __init__(self, root: str = "/") -> None:
        """Begin to count. Raises OSError where the kernel keeps no such account."""
        self._files = []  # type: List[int]
        self.lost_ns: Optional[int] = 0
        tasks = os.path.join(root, "proc/self/task")
        names = os.listdir(tasks)
        if len(names) > _MAX_THREADS:
            raise OSError("too many threads")
        try:
            for name in names:
                self._files.append(os.open(os.path.join(tasks, name, "schedstat"), os.O_RDONLY))
            if not any(self._fields(file)[2] for file in self._files):  # all zero: it is switched off
                raise OSError("nothing is counted")
            self._waited_ns = [self._fields(file)[1] for file in self._files]
        except (OSError, ValueError, IndexError) as exc:
            self.close()
            raise OSError("no account of waiting threads") from exc

    @staticmethod
    def _fields(file: int) -> List[int]:
        return [int(field) for field in os.pread(file, 128, 0).split()]

    def _read(self) -> List[int]:
        """Return the time that each has waited; of a thread that has ended as long as before."""
        found = []
        for index, file in enumerate(self._files):
            try:
                found.append(int(os.pread(file, 128, 0).split()[1]))
            except OSError:
                found.append(self._waited_ns[index])
        return found

    def is_disturbed(self, took_ns: int) -> bool:
        """Tell whether the inferences since the last call, which took so long, waited for a core.

        Of several threads the one that waited longest counts: the others wait for it.
        """
        before, self._waited_ns = self._waited_ns, self._read()
        waited_ns = min(took_ns, max(now - then for then, now in zip(before, self._waited_ns)))
        self.lost_ns = (self.lost_ns or 0) + waited_ns
        return waited_ns > DISTURBED_SHARE * took_ns

    def close(self) -> None:
        """Stop counting."""
        for file in self._files:
            os.close(file)


class Switches:
    """How often this process lost a core against its will, where the kernel does not tell for how long."""

    name = "switches"
    lost_ns: Optional[int] = None

    def __init__(self) -> None:
        """Begin to count."""
        self._count = self._read()

    @staticmethod
    def _read() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

    def is_disturbed(self, _took_ns: int) -> bool:
        """Tell whether a core was lost since the last call."""
        before, self._count = self._count, self._read()
        return self._count > before

    def close(self) -> None:
        """Stop counting."""


def watch(root: str = "/") -> Any:
    """Return what marks inferences here, the best there is; None where neither counts anything."""
    try:
        return RunDelay(root)
    except OSError:
        switches = Switches()
        return switches if switches._read() > 0 else None


class Shield:
    """Real-time priority for all threads of this process, so that no other work takes a core from them.

    The kernel keeps a part of every second, mostly 5 %, for others. `refused` says why it is not given, "" if it is.
    """

    def __init__(self, threads: int, root: str = "/") -> None:
        """`threads` is how many of them compute. With more than there are cores, those would wait for one another."""
        self.refused = ""
        runtime_us = number(text(root, "proc/sys/kernel/sched_rt_runtime_us"))
        period_us = number(text(root, "proc/sys/kernel/sched_rt_period_us"))
        if threads > len(os.sched_getaffinity(0)):
            self.refused = "there are more threads than cores"
        elif not (isinstance(runtime_us, float) and isinstance(period_us, float) and 0 < runtime_us < period_us):
            self.refused = "the kernel would leave no time to other processes"

    def __enter__(self) -> "Shield":
        if not self.refused:
            try:
                self._set(os.SCHED_RR, 1)
            except OSError as exc:
                self._set(os.SCHED_OTHER, 0)
                self.refused = "not allowed here ({})".format(exc.strerror)
        return self

    def __exit__(self, *_: Any) -> None:
        if not self.refused:
            self._set(os.SCHED_OTHER, 0)

    @staticmethod
    def _set(policy: int, priority: int) -> None:
        for name in os.listdir("/proc/self/task"):
            try:
                os.sched_setscheduler(int(name), policy, os.sched_param(priority))
            except ProcessLookupError:
                pass  # that thread has just ended


def probe_ns() -> int:
    """Return how long a fixed piece of work takes now, the better of two tries: how fast the core is.

    It is short enough to fit between the interruptions of a busy machine, while what slows the core itself (a lower
    clock, another machine on the same core, a slower core) slows every try. A hash, because it is computed in C from
    data that lies in the nearest cache: a loop in Python differs by half from process to process.
    """
    clock = time.perf_counter_ns
    start = clock()
    hashlib.blake2b(_PROBE_DATA)
    middle = clock()
    hashlib.blake2b(_PROBE_DATA)
    return min(middle - start, clock() - middle)


def packed(flags: bytearray) -> str:
    """Return one byte per flag as text: base64 of the compressed bits, the first flag in the highest bit."""
    bits = bytearray((len(flags) + 7) // 8)
    for index, flag in enumerate(flags):
        if flag:
            bits[index >> 3] |= 0x80 >> (index & 7)
    return base64.b64encode(zlib.compress(bytes(bits))).decode("ascii")
