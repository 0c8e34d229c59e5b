"""Can the numbers be believed: beside burners, from run to run, and of `quick`? Tables on standard output (`-s`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from results import journal
from tests.perf.test_harness import TEN
from tests.perf.test_noise import BUSY, beside
from tests.rigs.bench import ROOT, Bench

pytestmark = pytest.mark.perf

BURNERS = 3
FIXED_S = 60
"""For so long MLPerf Mobile times a case, and 1024 inferences at least."""
Rows = Mapping[tuple[str, str], dict[str, Any]]


def run(profile: str, *more: str) -> Rows:
    """Measure ten models under three runtimes, one thread, as a user does."""
    bench = Bench(ROOT, timeout_s=3600, adaptive=True)
    rows = bench.rows("run", "--models", TEN, "--profile", profile, "--threads", "1", "--accuracy", "none", *more)
    return {(row["model"], row["backend"]): row for row in rows}


def ranks(values: list[float]) -> Any:
    return np.argsort(np.argsort(values))


def against(rows: Rows, quiet: Rows) -> str:
    """A line of a table: how valid rows lie to those of the quiet machine."""
    verdicts = Counter(row["verdict"] for row in rows.values())
    both = [key for key, row in rows.items() if row["verdict"] == quiet[key]["verdict"] == "valid"]
    ratios = np.array([rows[key]["median_ms"] / quiet[key]["median_ms"] for key in both])
    medians = [[found[key]["median_ms"] for key in both] for found in (rows, quiet)]
    correlation = np.corrcoef(ranks(medians[0]), ranks(medians[1]))[0, 1]
    apart = np.abs(ratios - 1)
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    lost = np.mean([row["lost_share"] or 0.0 for row in rows.values()])
    return (
        f"{told} | {lost:.0%} | {ratios.min():.3f}-{ratios.max():.3f} | {np.median(apart):.1%} | "
        f"{np.sum(apart > 0.05)} | {correlation:.4f} |"
    )


def test_rows_beside_burners_again_and_quick(benchmark: Any) -> None:
    found: dict[str, Rows] = {}

    def measure() -> None:
        Bench(ROOT)("models", "export", TEN)
        found["standard"] = run("standard")
        with beside((BUSY,) * BURNERS):
            found["standard, 3 burners"] = run("standard")
        found["quick"] = run("quick")
        found["standard again"] = run("standard")

    benchmark.pedantic(measure, rounds=1)
    heads = ("run", "rows", "time lost", "times the first", "median apart", "valid and > 5 % apart", "rank correlation")
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, rows in found.items():
        print(f"| {name} | {against(rows, found['standard'])}")


def test_time_to_an_interval_of_one_percent(benchmark: Any) -> None:
    """Twenty cases, with load and warm-up of each restart; beside them their medians in the profile `standard`."""
    bench, two = Bench(ROOT), ("--backends", "onnxruntime,tflite")
    bench("models", "export", TEN)
    found: dict[str, Rows] = {}

    def measure() -> None:
        found["standard"] = run("standard", *two)
        found["target"] = run("quick", *two, "--target-ci", "1%", "--max-minutes", "15")

    benchmark.pedantic(measure, rounds=1)
    restarts = journal.read(sorted((bench.workspace / "runs").iterdir())[-1]).restarts
    seconds: dict[str, float] = defaultdict(float)
    for restart in restarts:
        seconds[restart.case_id] += restart.wall_ns / 1e9
    rows = found["target"]
    took = [seconds[row["case_id"]] for row in rows.values()]
    reached = [row for row in rows.values() if not any("reaches further" in note for note in row["notes"])]
    inside = [
        row["ci95_ms"][0] <= found["standard"][key]["ci95_ms"][1]
        and found["standard"][key]["ci95_ms"][0] <= row["ci95_ms"][1]
        for key, row in rows.items()
    ]
    print(
        f"\n{len(took)} cases: {np.median(took):.1f} s ({min(took):.1f} to {max(took):.1f}), in the median "
        f"{np.median(took) / FIXED_S:.0%} of {FIXED_S} s; {len(reached)} reached 1 %; in {sum(inside)} the interval "
        "meets that of `standard`"
    )
