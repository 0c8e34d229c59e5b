"""A control group with a share of the CPUs that can be changed while something runs in it. Needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rigs.waiting import wait_until

_PERIOD_US = 100_000
_FIRST, _SECOND = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """A group of either version of the kernel's control groups."""

    folder: Path

    def command(self, *command: str) -> Sequence[str]:
        """Return the command that runs `command` in the group."""
        return ["sh", "-ec", 'echo $$ > "$1"; shift; exec "$@"', "sh", str(self.folder / "cgroup.procs"), *command]

    def allow(self, cpus: float) -> None:
        """Let the group have so many CPUs, from now on."""
        quota_us = int(cpus * _PERIOD_US)
        if (self.folder / "cpu.max").exists():
            (self.folder / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
        else:
            (self.folder / "cpu.cfs_quota_us").write_text(str(quota_us))

    @property
    def is_empty(self) -> bool:
        """Whether all that ran in it has ended."""
        return not (self.folder / "cgroup.procs").read_text()


@contextmanager
def group(cpus: float) -> Iterator[Group]:
    """Make a group with so many CPUs; skip the test where that is not allowed."""
    base = _FIRST if (_FIRST / "cpu.cfs_quota_us").exists() else _SECOND
    made = Group(base / f"edgebench-{os.getpid()}")
    try:
        made.folder.mkdir()
        made.allow(cpus)
    except OSError as exc:
        pytest.skip(f"no control group with a quota can be made here: {exc}")
    try:
        yield made
    finally:
        wait_until(lambda: made.is_empty)
        made.folder.rmdir()
