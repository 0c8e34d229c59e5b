"""What the harness itself costs: start-up, time outside restarts, memory. Figures on standard output (`-s`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from results import journal
from tests.rigs.bench import ROOT, Bench

pytestmark = pytest.mark.perf

TEN = (
    "mobilenet_v1_1.0,mobilenet_v2_1.0,mobilenet_v3_large_1.0,mobilenet_v3_small_1.0,shufflenet_v2_1.0,"
    "squeezenet_1.1,mnasnet_a1_1.0,mnasnet_b1_1.0,efficientnet_lite0,ghostnet_1.0"
)


def test_help(benchmark: Any) -> None:
    command = [Path(sys.executable).with_name("bench"), "--help"]
    benchmark.pedantic(lambda: subprocess.run(command, capture_output=True, check=True), rounds=10, warmup_rounds=1)
    print(f"\nbench --help: {benchmark.stats['median']:.3f} s")


def test_from_typing_to_the_first_restart(benchmark: Any) -> None:
    bench = Bench(ROOT)
    bench("models", "export", "quick")
    seconds = []

    def run() -> None:
        typed = time.time()
        bench("run", "--models", "quick", "--backends", "tflite")
        newest = sorted((bench.workspace / "runs").iterdir())[-1]
        seconds.append(datetime.fromisoformat(journal.read(newest).restarts[0].started_at).timestamp() - typed)

    benchmark.pedantic(run, rounds=5)
    print(f"\nfrom typing to the first restart: {sorted(seconds)[2]:.2f} s")


def test_share_of_the_time_inside_restarts_and_memory_of_the_host(benchmark: Any) -> None:
    bench = Bench(ROOT)
    bench("models", "export", TEN)
    found: dict[str, float] = {}

    def run() -> None:
        begun = time.monotonic()
        process = bench.start("run", "--models", TEN, "--profile", "standard")
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident_kib(process.pid) if measuring(bench) else 0)
            time.sleep(0.2)
        found["wall"] = time.monotonic() - begun
        process.communicate()
        document = journal.read(sorted((bench.workspace / "runs").iterdir())[-1])
        inside = sum(
            (r.load_ns or 0) + (r.first_ns or 0) + sum(r.warmup_ns) + sum(r.samples_ns) for r in document.restarts
        )
        found.update(share=inside / 1e9 / found["wall"], restarts=len(document.restarts), peak_mib=peak / 1024)

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(found)
    print(f"\n{found}")


def measuring(bench: Bench) -> bool:
    """Whether the newest run is still without its document."""
    newest = max((bench.workspace / "runs").iterdir(), default=None)
    return newest is not None and not (newest / journal.DOCUMENT).exists()


def resident_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def test_the_second_preparation_of_all(benchmark: Any) -> None:
    bench = Bench(ROOT)
    bench("models", "export", TEN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = bench.command("models", "export", TEN)
    benchmark.pedantic(
        lambda: subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True), rounds=5
    )
