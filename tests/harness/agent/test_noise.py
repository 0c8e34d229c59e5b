"""The marks of the agent on this machine: they see a burner, real-time priority keeps it away, the probe is steady."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harness.agent import measure, noise
from results.records import Noise

PROFILE = {"min_iterations": 30, "min_seconds": 0.3, "max_seconds": 5.0}


@contextmanager
def on_one_core_with(burners: int) -> Iterator[None]:
    """This process and so many others that never rest, all on one core."""
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"]
    os.sched_setaffinity(0, {core})
    started = [subprocess.Popen(command) for _ in range(burners)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()
        os.sched_setaffinity(0, allowed)


def work() -> None:
    """About 10 ms: longer than a time slice, so that no inference among burners keeps its core."""
    end = time.process_time_ns() + 10_000_000
    while time.process_time_ns() < end:
        pass


def kept_and_lost(found: dict[str, object]) -> tuple[int, int]:
    marks = Noise.model_validate(found["noise"])
    samples = found["ns"]
    assert isinstance(samples, list)
    flags = marks.flags(len(samples))
    return int(np.sum(~flags[: marks.shielded_from])), int(np.sum(flags[: marks.shielded_from]))


def test_burners_are_seen() -> None:
    with on_one_core_with(2):
        found = measure.measure(work, PROFILE, 1, may_shield=False)
    marks = Noise.model_validate(found["noise"])
    kept, lost = kept_and_lost(found)
    assert lost > kept
    assert marks.lost_ns is None or marks.lost_ns > 0.3 * sum(found["ns"])
    assert marks.unshielded == "switched off for this device"


@pytest.mark.skipif(os.geteuid() != 0, reason="real-time priority is root's")
def test_real_time_priority_keeps_them_away() -> None:
    with on_one_core_with(2):
        found = measure.measure(work, PROFILE, 1)
    marks = Noise.model_validate(found["noise"])
    assert marks.shielded_from is not None
    shielded = found["ns"][marks.shielded_from :]
    flags = marks.flags(len(found["ns"]))[marks.shielded_from :]
    assert np.mean(flags) < 0.5
    assert np.median(shielded) < 0.7 * np.median(found["ns"][: marks.shielded_from])
    assert os.sched_getscheduler(0) == os.SCHED_OTHER, "given back"


def test_what_fits_between_the_slices_is_not_disturbed() -> None:
    with on_one_core_with(1):
        found = measure.measure(lambda: None, PROFILE, 1, may_shield=False)
    kept, lost = kept_and_lost(found)
    assert kept > 2 * lost, "with other tests on the core, too"


def test_more_threads_than_cores_are_not_shielded() -> None:
    with noise.Shield(len(os.sched_getaffinity(0)) + 1) as shield:
        assert "more threads than cores" in shield.refused
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize("runtime", ["-1", "1000000", ""])
def test_a_kernel_that_would_leave_nothing_to_others(tmp_path: Path, runtime: str) -> None:
    folder = tmp_path / "proc/sys/kernel"
    folder.mkdir(parents=True)
    (folder / "sched_rt_runtime_us").write_text(runtime)
    (folder / "sched_rt_period_us").write_text("1000000")
    assert "no time to other processes" in noise.Shield(1, str(tmp_path)).refused


def account(tmp_path: Path, content: str) -> str:
    folder = tmp_path / "proc/self/task/1"
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(content)
    return str(tmp_path)


@pytest.mark.parametrize("content", ["0 0 0", "", "words", "5 6"])
def test_an_account_that_is_switched_off_or_strange_is_not_used(tmp_path: Path, content: str) -> None:
    assert isinstance(noise.watch(account(tmp_path, content)), noise.Switches)


def test_no_account_at_all(tmp_path: Path) -> None:
    assert isinstance(noise.watch(str(tmp_path)), noise.Switches)


def test_a_thread_that_ends_is_no_mistake() -> None:
    begun, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), over.wait(30)))
    thread.start()
    begun.wait(30)
    watch = noise.RunDelay()
    over.set()
    thread.join(30)
    while len(list(Path("/proc/self/task").iterdir())) >= len(watch._files):
        time.sleep(0.01)  # the kernel's part of the thread is a little longer there
    assert watch.is_disturbed(10**12) is False
    watch.close()


def test_an_inference_that_waited_is_disturbed(tmp_path: Path) -> None:
    root = account(tmp_path, "10 1000 3")
    watch = noise.watch(root)
    assert watch.name == "schedstat"
    assert not watch.is_disturbed(100_000)
    (tmp_path / "proc/self/task/1/schedstat").write_text("10 2001 3")
    assert watch.is_disturbed(100_000)
    (tmp_path / "proc/self/task/1/schedstat").write_text("10 3000 3")
    assert not watch.is_disturbed(100_000), "1 % is little"
    assert watch.lost_ns == 2000


def test_flags_are_packed_as_they_are_read() -> None:
    flags = [index % 3 == 0 for index in range(21)]
    marks = Noise(marked_by="switches", disturbed=noise.packed(bytearray(flags)))
    assert list(marks.flags(21)) == flags


def test_the_core_is_probed_before_now_and_then_and_after() -> None:
    found = measure.measure(work, PROFILE, 1, may_shield=False)
    places = [place for place, _ in found["probes"]]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, len(found["ns"]))
    assert len(places) > len(found["ns"]) / 3, "an inference of 10 ms has one of its own"
    assert all(took > 0 for _, took in found["probes"])
