"""What planning a large fleet costs: time and memory. Figures on standard output (`-s`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.bench import ROOT

pytestmark = pytest.mark.perf

DEVICES, MODELS = 1000, 50  # under two backends: 100 cases a device

PLAN = """
import json, resource, sys, time
from pathlib import Path
from harness.workspace import Workspace
from tests.rigs.fleet import fleet, planned, prepared, template
folder = Path(sys.argv[1])
devices, models = fleet(int(sys.argv[2])), prepared(template(folder / "artifacts"), int(sys.argv[3]))
begun = time.monotonic()
run, tasks = planned(Workspace(folder), devices, models)
restarts = sum(len(task.todo()) for task in tasks)
seconds = time.monotonic() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"cases": len(run.header.cases), "restarts": restarts, "seconds": seconds, "peak_mib": peak}))
"""


def test_a_thousand_devices_with_a_hundred_cases_each(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PLAN, str(tmp_path), str(DEVICES), str(MODELS)]
    found = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    print(f"\n{found}")
    assert (found["cases"], found["restarts"]) == (100_000, 500_000)
    assert found["peak_mib"] < 1000
    assert found["seconds"] < 30  # the aim is 10; docs/performance.md says what was measured
