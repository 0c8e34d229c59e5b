"""The lock's file on a device, where something else lies in its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.agent.jobs import hold


def put(path: Path, kind: str) -> None:
    """Put something in a lock's place that is none."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        (path.parent / "theirs").write_text('{"pid": 1, "owner": "theirs"}')
        path.symlink_to(path.parent / "theirs")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_plain_file_is_no_lock(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    put(path, kind)
    said: list[dict[str, Any]] = []
    assert hold.holder(str(path)) == {}
    with pytest.raises(OSError, match="lock"):
        hold.run(hold.Request(str(path), "me", "token", 0.0, 1.0), said.append)
    assert said == []
    if kind == "link":
        assert (tmp_path / "theirs").read_text() == '{"pid": 1, "owner": "theirs"}'


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_nobody_is_ended_and_nothing_marked_by_what_is_no_plain_file(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "lock.running", kind)
    hold.end_orphan(str(tmp_path / "lock"))
    with pytest.raises(OSError, match=r"lock\.running"):
        hold.mark_running(str(tmp_path / "lock"))
