"""Is a device that is slowed down in mid-run found, and no other? Figures on standard output (`-s`). Needs root."""

from __future__ import annotations

import json
import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from harness.agent import telemetry
from tests.rigs.bench import Bench, written
from tests.rigs.cgroup import group

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3600)]

RUNS = 20
MODEL = "mobilenet_v2_0.35"


@pytest.mark.parametrize(("threads", "before", "after"), [(1, 1.0, 0.6), (2, 2.0, 1.2)])
def test_a_quota_that_is_cut_by_40_percent(
    bench: Bench, benchmark: Any, threads: int, before: float, after: float
) -> None:
    """Half of the runs, one after the other with the rest, lose it after the first restart."""
    bench.adaptive = True
    bench("models", "export", MODEL)
    draw, verdicts = random.Random(1), {True: Counter[str](), False: Counter[str]()}
    with group(before) as made:
        python = bench.folder / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join(made.command(sys.executable))} "$@"\n')
        python.chmod(0o755)
        (bench.folder / "devices.toml").write_text(f'[devices.box]\ntransport = "local"\npython = "{python}"\n')
        run = ("run", "--device", "box", "--models", MODEL, "--backends", "onnxruntime", "--threads", str(threads))

        def both() -> None:
            for is_cut in (True, False):
                made.allow(before)
                process = bench.start(*run, "--json")
                if is_cut:
                    wait_for_a_restart(bench, process)
                    time.sleep(draw.uniform(0, 0.3))
                    made.allow(after)
                (row,) = json.loads(process.communicate()[0])["rows"]
                verdicts[is_cut][row["verdict"]] += 1

        benchmark.pedantic(both, rounds=RUNS)
    found = {"cut": dict(verdicts[True]), "not cut": dict(verdicts[False])}
    benchmark.extra_info.update(found)
    print(f"\n{threads} threads, {before:g} to {after:g} CPUs: {found}")


def wait_for_a_restart(bench: Bench, process: subprocess.Popen[str]) -> None:
    """Wait until the newest run has written one down."""
    earlier = len(list((bench.workspace / "runs").glob("*/run.json")))
    while process.poll() is None:
        runs = sorted((bench.workspace / "runs").glob("*/journal.jsonl"))[earlier:]
        if any('"kind":"restart"' in line for one in runs for lines in written(one.parent).values() for line in lines):
            return
        time.sleep(0.01)


def test_a_reading(benchmark: Any) -> None:
    benchmark.pedantic(telemetry.snapshot, rounds=200, warmup_rounds=5)
    print(f"\na reading of all telemetry: {benchmark.stats['median'] * 1e3:.2f} ms")


def test_counters(benchmark: Any) -> None:
    benchmark.pedantic(telemetry.counters, rounds=200, warmup_rounds=5)
    print(f"\na reading of what counts up: {benchmark.stats['median'] * 1e3:.2f} ms")
