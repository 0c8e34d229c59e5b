"""Which of several TFLite files is the fastest on this host: `python -m models.export.precision.race FILE...`.

A process of its own, because what a converter or PyTorch leaves running would be timed as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from models.errors import ExportFailed

SECONDS = 2.0
"""About as long each file is run."""
_MOST_S = 120.0


def medians_ms(folder: Path, files: Mapping[str, bytes]) -> dict[str, float]:
    """The median latency of each file with one thread; they are written to `folder`. Raises ExportFailed."""
    paths = {name: folder / f"race-{name}.tflite" for name in files}
    for name, path in paths.items():
        path.write_bytes(files[name])
    command = (sys.executable, "-P", "-m", "models.export.precision.race", *map(str, paths.values()))
    root = str(Path(__file__).parents[3])
    found = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MOST_S, env=environment, check=True)
        told: list[float] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as exc:
        raise ExportFailed(f"the quantized files cannot be timed against each other: {exc}") from exc
    return dict(zip(paths, told, strict=True))


def _race(paths: Sequence[str]) -> list[float]:
    """Medians in ms of a core, in turns: what slows the machine down slows all of them.

    By the clock, other work on the machine would interrupt the longer inference, and not the shorter one.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    order = np.random.default_rng(0)
    sessions = []
    for path in paths:
        session = Interpreter(path, num_threads=1)
        session.allocate_tensors()
        for detail in session.get_input_details():
            session.set_tensor(detail["index"], order.standard_normal(detail["shape"], dtype=np.float32))
        sessions.append(session)
    taken: list[list[int]] = [[] for _ in sessions]
    end = time.monotonic() + SECONDS * len(paths)
    while time.monotonic() < end or len(taken[0]) < 3:
        for index in order.permutation(len(sessions)):
            sessions[index].invoke()  # the caches are this file's again
            start = time.process_time_ns()
            sessions[index].invoke()
            taken[index].append(time.process_time_ns() - start)
    return [median(one) / 1e6 for one in taken]


if __name__ == "__main__":
    print(json.dumps(_race(sys.argv[1:])))
