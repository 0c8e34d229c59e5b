"""One restart with every signal that may betray other work, as a line of JSON.

python -m tests.perf.signals MODEL SECONDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness.agent import measure, noise, telemetry
from harness.agent.files import text
from results.records import Noise

WARMUP_S = 0.3


def session(path: str) -> Any:
    """Return what runs one inference under ONNX Runtime with one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    loaded = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {node.name: rng.random(node.shape, dtype=np.float32) for node in loaded.get_inputs()}
    return lambda: loaded.run(None, feeds)


def migrations() -> int | None:
    """How often the main thread changed its core, where the kernel tells."""
    for line in text("/", "proc/self/sched", 1 << 16).splitlines():
        if line.startswith("se.nr_migrations"):
            return int(line.split(":")[1])
    return None


def main(path: str, seconds: float) -> None:
    """Measure once and print what was found."""
    run = session(path)
    end = time.monotonic() + WARMUP_S
    while time.monotonic() < end:
        run()
    profile = {"min_iterations": 30, "min_seconds": seconds, "max_seconds": 4 * seconds}
    switches, moved = noise.Switches(), migrations()
    before, times, begun = telemetry.counters(), os.times(), time.monotonic_ns()
    found = measure.measure(run, profile, 1, may_shield=False)
    elapsed_ns, used, after = time.monotonic_ns() - begun, os.times(), telemetry.counters()
    samples = np.array(found["ns"], dtype=float)
    marks = Noise.model_validate(found["noise"])
    kept = ~marks.flags(len(samples))
    ticks = {name: after[name] - before[name] for name in after if name.endswith("_ticks")}
    total = sum(ticks[name] for name in ("busy_ticks", "idle_ticks", "steal_ticks")) or 1
    lost_cores = switches._read() - switches._count
    print(
        json.dumps(
            {
                "median_ns": float(np.median(samples)),
                "own_ns": float(np.median(samples[kept])) if kept.any() else None,
                "kept": float(np.mean(kept)),
                "n": len(samples),
                "probes": [took for _, took in found["probes"]],
                "switches": lost_cores / len(samples),
                "run delay": (marks.lost_ns or 0) / elapsed_ns,
                "CPU time": 1 - (used[0] + used[1] - times[0] - times[1]) * 1e9 / elapsed_ns,
                "pressure": (after.get("pressure_us", 0) - before.get("pressure_us", 0)) * 1e3 / elapsed_ns,
                "steal": ticks["steal_ticks"] / total,
                "others": max(0, ticks["busy_ticks"] - ticks["own_ticks"]) / total,
                "load": os.getloadavg()[0],
                "migrations": None if moved is None else (migrations() or 0) - moved,
            }
        )
    )


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), float(sys.argv[2]))
