"""Which signals betray a disturbed restart, and what the marks cost: tables on standard output (`-s`)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent import measure, noise
from models.store import ArtifactStore
from results.judge.device.noise import SLOW_PROBE
from tests.perf.signals import session
from tests.rigs.bench import DATA, ROOT, Bench

pytestmark = pytest.mark.perf

RESTARTS, SECONDS = 8, 0.6
DISTURBED = 1.05
"""A median this many times that of the quiet machine is wrong."""

BUSY = "while True: pass"
MEMORY = (
    "import numpy as np\na, b = np.zeros(8_000_000), np.ones(8_000_000)\nwhile True: np.copyto(a, b); np.copyto(b, a)"
)
NOW_AND_THEN = "import time\nwhile True:\n end = time.time() + 0.5\n while time.time() < end: pass\n time.sleep(0.5)"
PINNED = f"import os\nos.sched_setaffinity(0, {{0}})\n{BUSY}"
LOADS: dict[str, Sequence[str]] = {
    "quiet": (),
    "3 burners": (BUSY,) * 3,
    "1 burner on core 0": (PINNED,),
    "2 memory burners": (MEMORY,) * 2,
    "2 that come and go": (NOW_AND_THEN,) * 2,
}
# From which value on a signal says that a restart was disturbed.
LIMITS = {
    "switches": 0.10,
    "run delay": 0.02,
    "CPU time": 0.05,
    "pressure": 0.05,
    "steal": 0.01,
    "others": 0.10,
    "load": 2.0,
    "migrations": 1,
    "slow probes": 0.10,
    "fewer than half kept their core": 0.5,
}


@contextmanager
def beside(programs: Sequence[str]) -> Iterator[None]:
    """So many other processes, each in a session of its own as another user's would be."""
    started = [subprocess.Popen([sys.executable, "-c", program], start_new_session=True) for program in programs]
    try:
        time.sleep(1.0 if programs else 0.0)
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def restart(model: Path) -> dict[str, Any]:
    """Measure once in a fresh process."""
    command = [sys.executable, "-m", "tests.perf.signals", str(model), str(SECONDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout))


def models() -> dict[str, Path]:
    """Return networks of some 0.03, 1 and 9 ms."""
    bench = Bench(ROOT)
    bench("models", "export", "mobilenet_v2_1.0")
    store = ArtifactStore(bench.workspace / "artifacts")
    large = next(
        one for one in store.all() if (one.model, one.format, one.precision) == ("mobilenet_v2_1.0", "onnx", "fp32")
    )
    control = ROOT / "models" / "control" / "control.onnx"
    return {"tiny": DATA / "tiny.onnx", "control": control, "mobilenet_v2_1.0": store.model_path(large)}


def test_which_signals_betray_a_disturbed_restart(benchmark: Any) -> None:
    found: list[dict[str, Any]] = []

    def gather() -> None:
        chosen = models()
        for load, programs in LOADS.items():
            with beside(programs):
                for _ in range(RESTARTS):
                    found.extend({**restart(path), "load kind": load, "model": name} for name, path in chosen.items())

    benchmark.pedantic(gather, rounds=1)
    best_ns = min(min(one["probes"]) for one in found)
    for one in found:
        quiet = [other["own_ns"] for other in found if (other["model"], other["load kind"]) == (one["model"], "quiet")]
        reference = float(np.median([value for value in quiet if value is not None]))
        one["slow probes"] = float(np.mean(np.array(one["probes"]) > SLOW_PROBE * best_ns))
        one["fewer than half kept their core"] = 1 - one["kept"]
        one["error"] = one["median_ns"] / reference
        one["own error"] = (one["own_ns"] or np.inf) / reference
    print(f"\n{tables(found)}")


def tables(found: Sequence[Mapping[str, Any]]) -> str:
    """True and false alarms of each signal, and what became of the restarts under each load."""
    lines = ["| signal | says disturbed from | of disturbed restarts | of the others |", "|---|---|---|---|"]
    for signal, limit in LIMITS.items():
        counts = []
        for wrong in (True, False):
            those = [one for one in found if (one["error"] > DISTURBED) is wrong and one[signal] is not None]
            counts.append(f"{sum(one[signal] >= limit for one in those)} of {len(those)}")
        lines.append(f"| {signal} | {limit:g} | {' | '.join(counts)} |")
    lines += [
        "",
        "| load | model | median of all, times quiet | of those that kept their core | believed | of these wrong |",
    ]
    lines += ["|---|---|---|---|---|---|"]
    for load, model in dict.fromkeys((one["load kind"], one["model"]) for one in found):
        those = [one for one in found if (one["load kind"], one["model"]) == (load, model)]
        good = [one for one in those if one["kept"] >= 0.5 and one["slow probes"] < 0.5]
        spans = [span([one[key] for one in those]) for key in ("error", "own error")]
        wrong = sum(abs(one["own error"] - 1) > DISTURBED - 1 for one in good)
        lines.append(f"| {load} | {model} | {spans[0]} | {spans[1]} | {len(good)} of {len(those)} | {wrong} |")
    lines += ["", "| kept their core | restarts | their median, times quiet | more than 5 % off |", "|---|---|---|---|"]
    for low, high in pairwise((0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 1.01)):
        errors = [one["own error"] for one in found if low <= one["kept"] < high and one["slow probes"] < 0.5]
        wrong = sum(abs(error - 1) > DISTURBED - 1 for error in errors)
        lines.append(f"| {low:.0%}-{min(high, 1):.0%} | {len(errors)} | {span(errors) if errors else '-'} | {wrong} |")
    return "\n".join(lines)


def span(values: Sequence[float]) -> str:
    """From the least to the largest."""
    return f"{min(values):.2f}-{max(values):.2f}"


def test_marks_cost_little(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ratios: dict[str, list[float]] = {}
    profile = {"min_iterations": 10, "min_seconds": 0.1, "max_seconds": 10.0}

    def median(run: Callable[[], Any], *, marked: bool) -> float:
        with monkeypatch.context() as patch:
            if not marked:
                patch.setattr(noise, "watch", lambda: None)
                patch.setattr(measure, "PROBE_EVERY_NS", 10**12)
            return float(np.median(measure.measure(run, profile, 1, may_shield=False)["ns"]))

    def compare() -> None:
        for name, path in models().items():
            run = session(str(path))
            median(run, marked=True)
            for _ in range(60):
                without = median(run, marked=False)
                ratios.setdefault(name, []).append(median(run, marked=True) / without)

    benchmark.pedantic(compare, rounds=1)
    print("\n| model | median with marks, times without | 95 % interval |\n|---|---|---|")
    for name, found in ratios.items():
        drawn = np.median(np.random.default_rng(0).choice(found, (2000, len(found))), axis=1)
        print(f"| {name} | {np.median(found):.4f} | {np.quantile(drawn, 0.025):.4f}-{np.quantile(drawn, 0.975):.4f} |")
