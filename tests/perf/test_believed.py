"""Can the numbers be believed: beside burners, from run to run, and of `quick`? Tables on standard output (`-s`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.perf.test_harness import TEN
from tests.perf.test_noise import BUSY, beside
from tests.rigs.bench import ROOT, Bench

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3 * 3600)]

BURNERS = 3
QUIET = ("standard", "standard again", "standard once more")
"""The median of their medians is the value to reach."""
Rows = Mapping[tuple[str, str], dict[str, Any]]


def run(profile: str) -> Rows:
    """Measure ten models under three runtimes, one thread, as a user does."""
    bench = Bench(ROOT, timeout_s=3600, adaptive=True)
    rows = bench.rows("run", "--models", TEN, "--profile", profile, "--threads", "1", "--accuracy", "none")
    return {(row["model"], row["backend"]): row for row in rows}


def ranks(values: Any) -> Any:
    return np.argsort(np.argsort(values))


def against(rows: Rows, quiet_ms: Mapping[tuple[str, str], float]) -> str:
    """A line of a table: how rows lie to what they are on the quiet machine, in ms."""
    verdicts = Counter(row["verdict"] for row in rows.values())
    valid = [key for key, row in rows.items() if row["verdict"] == "valid"]
    medians = np.array([rows[key]["median_ms"] for key in valid])
    quiet = np.array([quiet_ms[key] for key in valid])
    ratios = medians / quiet
    observed = [row["observed_ms"]["p50"] / quiet_ms[key] for key, row in rows.items()]
    apart = np.abs(ratios - 1)
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    lost = np.mean([row["lost_share"] or 0.0 for row in rows.values()])
    return (
        f"{told} | {lost:.0%} | {min(observed):.1f}-{max(observed):.1f} | {ratios.min():.2f}-{ratios.max():.2f} | "
        f"{np.median(apart):.1%} | {np.sum(apart <= 0.05)} of {len(valid)} | "
        f"{np.corrcoef(ranks(medians), ranks(quiet))[0, 1]:.4f} |"
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
        found["standard once more"] = run("standard")

    benchmark.pedantic(measure, rounds=1)
    report(found)


def report(found: Mapping[str, Rows]) -> None:
    quiet = [found[name] for name in QUIET]
    quiet_ms = {key: float(np.median([rows[key]["median_ms"] for rows in quiet])) for key in quiet[0]}
    heads = ("run", "rows", "time lost", "median of all, times quiet", "own, times quiet", "apart in the median")
    heads = (*heads, "valid within 5 %", "rank correlation")
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, rows in found.items():
        print(f"| {name} | {against(rows, quiet_ms)}")
    first_ms = {key: row["median_ms"] for key, row in quiet[0].items()}
    for name in ("standard again", "quick"):
        print(f"| {name}, against the first | {against(found[name], first_ms)}")
