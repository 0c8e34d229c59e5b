"""A run over all model files of a folder, with one short restart a case: for what is told, not for times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.rigs.bench import Bench

TINY_PROFILE = (
    "from harness.run import plan; from harness.cli import main; "
    "plan.PROFILES['quick'] = plan.PROFILES['quick'].model_copy(update=dict(restarts=1, min_iterations=5, "
    "min_seconds=0.02, warmup_min_iterations=1, warmup_min_seconds=0.01)); main()"
)
SUFFIXES = {".onnx", ".tflite"}

Rows = dict[tuple[str, str], dict[str, Any]]


class QuickBench(Bench):
    """`bench` with that profile."""

    program = TINY_PROFILE


def measure(folder: Path, *arguments: str, expect: int | None = None, timeout_s: float = 240) -> Rows:
    """Return the rows by the file's stem and the backend; a model's name may go on behind that of its file.

    `expect` is the exit code, where it is known.
    """
    (folder / "tmp").mkdir()
    files = [path for path in folder.iterdir() if path.suffix in SUFFIXES]
    models = [part for path in sorted(files) for part in ("--models", path.name)]
    bench = QuickBench(folder, {"TMPDIR": str(folder / "tmp")})
    process = bench.start("run", *models, "--threads", "1", *arguments, "--json")
    stdout, stderr = process.communicate(timeout=timeout_s)
    assert "Traceback" not in stderr, stderr
    assert expect in (None, process.returncode), stderr
    return {
        (max((path.stem for path in files if row["model"].startswith(path.stem)), key=len), row["backend"]): row
        for row in json.loads(stdout)["rows"]
    }
