"""Random faults at random moments of whole runs, over any transport: nothing lost, hanging or left locked."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from results import journal
from tests.rigs.bench import MEASURED, Bench, written
from tests.rigs.proxy import FaultProxy, Faults
from tests.rigs.waiting import LIMIT_S, catches, wait_until

_AGAIN = ("--reconnect", "20", "--wait", "30", "--patience", "5")
_RESTARTS = 2  # of each case, in the quick profile


@dataclass
class Campaign:
    """Runs of `bench` on one device while faults happen to it, to its link, and to `bench` itself.

    `faults` are name -> what happens (and is over when it returns), `cut` among them; `processes` are the device's, by
    a word in their command line; `locks` are the files that a host holds while it works. `host_signals` and
    `agent_signals` are drawn from when the fault is the end of `bench` or of what measures.
    """

    bench: Bench
    arguments: Sequence[str]
    faults: Mapping[str, Callable[[], None]]
    processes: Callable[[str], list[int]]
    locks: Callable[[], Sequence[Path]]
    host_signals: Sequence[signal.Signals] = (signal.SIGKILL,)
    agent_signals: Sequence[signal.Signals] = (signal.SIGKILL,)
    happened: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def run(self, count: int, seed: int) -> None:
        """Let `count` faults happen, finish every run, and check what is left."""
        draw = random.Random(seed)
        process = self._start()
        for _ in range(count):
            time.sleep(draw.uniform(0.1, 2.5))
            kept = {folder: written(folder) for folder in self._runs()}
            self._happen(draw.choice(["host", "agent", *self.faults]), process, draw)
            for folder, journals in kept.items():
                now = written(folder)
                for name, lines in journals.items():
                    assert now[name][: len(lines)] == lines, f"finished restarts of {folder.name} were lost"
            if draw.random() < 0.5:  # else the next fault may meet a run that has not got over this one
                self._wait_for_progress(process)
            if process.poll() is not None:
                self._check_end(process)
                process = self._start()
        self._wait_for_end(process)
        self._check_runs()
        self._check_locks()
        restarts = sum(len(journal.read(folder).restarts) for folder in self._runs())
        print(
            f"seed {seed}: {count} faults ({', '.join(f'{name} {n}' for name, n in sorted(self.happened.items()))}) in "
            f"{len(self._runs())} runs, {restarts} restarts written down; 0 lost, 0 hangs, 0 locks left; "
            f"slowest recovery {self.slowest_s:.1f} s"
        )

    def _happen(self, fault: str, process: subprocess.Popen[str], draw: random.Random) -> None:
        # A restart that fails twice is given up, and rightly so: its second try is left alone.
        running: list[int] = []
        deadline = time.monotonic() + 2  # between two restarts there is none for a moment
        while fault == "agent" and not running and time.monotonic() < deadline:
            running = self.processes("agent-")
        if fault == "agent" and (not running or self._last_failed()):
            fault = "host"
        self.happened[fault] += 1
        if fault == "host":
            self._signal_host(draw.choice(self.host_signals), process)
        elif fault == "agent":
            before = self._finished()
            with suppress(ProcessLookupError):
                os.kill(running[-1], draw.choice(self.agent_signals))
            self._wait_for_progress(process, before)  # until what became of it is written down
        else:
            self.faults[fault]()

    @staticmethod
    def _signal_host(number: signal.Signals, process: subprocess.Popen[str]) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):  # while Python starts, neither is handled
            wait_until(lambda: process.poll() is not None or catches(process.pid, signal.SIGTERM))
        process.send_signal(number)
        if number == signal.SIGSTOP:
            time.sleep(1)
            process.send_signal(signal.SIGCONT)

    def _start(self) -> subprocess.Popen[str]:
        """Go on with the newest run, or begin one when there is none to go on with."""
        runs = self._runs()
        if runs and journal.read(runs[-1]).finished_at is None:
            return self.bench.start("run", "--resume", "last", *_AGAIN)
        return self.bench.start("run", *self.arguments, *_AGAIN)

    def _runs(self) -> list[Path]:
        return sorted(path.parent for path in self.bench.workspace.glob("runs/*/journal.jsonl"))

    def _finished(self) -> dict[str, list[str]]:
        """Return the complete lines of the newest run's journals."""
        runs = self._runs()
        return written(runs[-1]) if runs else {}

    def _last_failed(self) -> bool:
        lines = [line for journal_lines in self._finished().values() for line in journal_lines]
        restarts = [line for line in lines if line.startswith('{"kind":"restart"')]
        return any('"outcome":"failed"' in line for line in restarts[-1:])

    def _wait_for_progress(self, process: subprocess.Popen[str], before: dict[str, list[str]] | None = None) -> None:
        begun, before = time.monotonic(), self._finished() if before is None else before
        while self._finished() == before and process.poll() is None:
            if time.monotonic() - begun > LIMIT_S:
                self._hangs(process)
            time.sleep(0.05)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun)

    def _wait_for_end(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            self._wait_for_progress(process)
        self._check_end(process)

    def _hangs(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGABRT)  # says where every thread is
        pytest.fail("\n".join(["it hangs", *process.communicate()]))

    def _check_end(self, process: subprocess.Popen[str]) -> None:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
        # 2 and 3: the device was away for too long, which a later run makes up for. 130: it was interrupted.
        assert process.returncode in (0, 2, 3, 130, -signal.SIGKILL, -signal.SIGHUP), stdout + stderr
        assert "Traceback" not in stderr, stderr
        assert "gave up after" not in stderr, f"the device was locked\n{stderr}"

    def _check_runs(self) -> None:
        """Finish every run; each has the rows of a run that nothing disturbed."""
        for folder in self._runs():
            found = self.bench.rows("run", "--resume", folder.name, *_AGAIN)
            run = journal.read(folder)
            done = [(restart.case_id, restart.round) for restart in run.restarts if restart.outcome == "ok"]
            planned = [(case.case_id, round_) for case in run.header.cases for round_ in range(_RESTARTS)]
            assert sorted(done) == sorted(planned)
            failed = sum(restart.outcome == "failed" for restart in run.restarts)
            assert failed <= self.happened["agent"], run.restarts
            assert {restart.outcome for restart in run.restarts} <= {"ok", "offline", "failed"}
            assert all(row["verdict"] in MEASURED for row in found), found
            assert self.bench.rows("results", "list", "--run", folder.name) == found, "the index tells something else"

    def _check_locks(self) -> None:
        # What came over a stalled connection waits for its end, as a server's keep-alive would bring it about at last.
        self.faults.get("cut", lambda: None)()
        wait_until(lambda: not self.processes("agent-"))
        for path in self.locks():
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                assert file.read() == b"", f"{path} names a holder"


def run_over_a_bad_link(bench: Bench, arguments: Sequence[str], proxy: FaultProxy) -> None:
    """A run over a slow link that is cut, then stalled, while the agent is pushed, and stalled during a measurement."""
    slow = {"bytes_per_s": 400e3, "delay_s": 0.002}
    proxy.change(Faults(cut_after=30_000, **slow))
    process = bench.start("run", *arguments, "--reconnect", "20", "--patience", "5")
    for following in (Faults(stall_after=30_000, **slow), Faults(**slow)):
        wait_until(lambda: proxy.sent > 30_000, process)
        proxy.change(following)
    bench.wait_for_restarts(1, process)
    proxy.stall()
    _, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert stderr.count("trying again") >= 2, stderr  # the last may be met by a command that has a second try itself
    (folder,) = (bench.workspace / "runs").iterdir()
    assert [restart.outcome for restart in journal.read(folder).restarts] == ["ok"] * _RESTARTS


def asked_for() -> tuple[int, int]:
    """Return how many faults are wanted and the seed: EDGEBENCH_FAULTS and EDGEBENCH_SEED, few in the suite."""
    return int(os.environ.get("EDGEBENCH_FAULTS", "2")), int(os.environ.get("EDGEBENCH_SEED", "1"))
