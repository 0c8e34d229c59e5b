"""What the agent says of how it may measure, here and from trees of files as devices have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.agent import means
from results.records import Means


def put(root: Path, name: str, content: str, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def test_here() -> None:
    before = os.sched_getscheduler(0)
    said = means.read()
    assert os.sched_getscheduler(0) == before
    assert said["cores"] == len(os.sched_getaffinity(0))
    assert said["real_time"] == ("refused" not in said)
    assert said["marked_by"] in ("schedstat", "switches")
    assert Means.of(said).model_dump(exclude_none=True) == said


@pytest.mark.parametrize(("setting", "told"), [("1", True), ("0", False), ("null", False), ("what", None)])
def test_a_phone(tmp_path: Path, setting: str, told: bool | None) -> None:
    put(tmp_path, "system/bin/dumpsys", "")
    put(tmp_path, "system/bin/cmd", f'#!/bin/sh\n[ "$*" = "settings get global low_power" ] && echo {setting}\n', 0o755)
    put(tmp_path, "proc/self/cpuset", "/foreground\n")
    put(tmp_path, "dev/cpuset/background/cpus", "0-3\n")
    found = Means.of(means.read(str(tmp_path)))
    assert found.is_android
    assert found.low_power is told
    assert (found.cpuset, found.background_cpus) == ("/foreground", "0-3")
    # Without a limit on what it takes, real-time priority is not asked for.
    assert found.real_time is False
    assert found.refused == "the kernel would leave no time to other processes"
