"""A model's files dropped from memory, with the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.agent import pagecache

PAGES = 64


def share_of(path: Path) -> float | None:
    handle = os.open(path, os.O_RDONLY)
    try:
        return pagecache.resident(handle)
    finally:
        os.close(handle)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(os.urandom(PAGES * os.sysconf("SC_PAGESIZE") - 1))
    if pagecache.drop([str(path)]) != "cold":
        pytest.skip("this file system keeps its files in memory")
    return path


def test_what_is_dropped_is_not_in_memory_until_it_is_read(file: Path) -> None:
    assert share_of(file) == 0
    content = file.read_bytes()
    assert share_of(file) == 1
    assert pagecache.drop([str(file)]) == "cold"
    assert share_of(file) == 0
    assert file.read_bytes() == content


def test_all_files_must_be_gone(file: Path, tmp_path: Path) -> None:
    file.read_bytes()
    assert pagecache.drop([str(file), str(tmp_path / "nothing")]) == "unknown"
    empty = tmp_path / "empty"
    empty.touch()
    assert pagecache.drop([str(empty)]) == "unknown"


def test_a_file_that_stays_in_memory_is_warm() -> None:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        pytest.skip("there is no file system in memory")
    path = folder / f"edgebench-test-{os.getpid()}"
    path.write_bytes(bytes(10_000))
    try:
        assert pagecache.drop([str(path)]) == "warm"
    finally:
        path.unlink()


@pytest.mark.parametrize("missing", ["posix_fadvise", "POSIX_FADV_DONTNEED"])
def test_a_system_that_cannot_do_it_does_not_know(file: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delattr(os, missing)
    assert pagecache.drop([str(file)]) == "unknown"


def test_of_another_account_s_file_the_kernel_does_not_tell(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert pagecache.drop([str(file)]) == "unknown"
