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

pytestmark = pytest.mark.perf

BURNERS = 3
Rows = Mapping[tuple[str, str], dict[str, Any]]


def run(profile: str) -> Rows:
    """Measure ten models under three runtimes, one thread, as a user does."""
    bench = Bench(ROOT, timeout_s=3600)
    bench.adaptive = True
    rows = bench.rows("run", "--models", TEN, "--profile", profile, "--threads", "1", "--accuracy", "none")
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
