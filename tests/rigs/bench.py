"""A workspace with tiny real models, and `bench` as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from models.artifacts import Artifact
from models.store import ArtifactStore
from results.records import InputSpec, OutputSpec
from tests.rigs.waiting import wait_until

DATA = Path(__file__).parent.parent / "data"
ROOT = DATA.parent.parent
# What is kept of pages takes seconds to make, whatever home a test has.
CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")

MEASURED = {"valid", "unstable", "contended"}
"""A machine that runs tests is busy, never wrong."""
ADAPTIVE = ("--target-ci", "--max-minutes")
SHAPES = {"onnx": (1, 3, 64, 64), "tflite": (1, 64, 64, 3)}


def tiny_pair(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return input and reference output of the tiny model in a format."""
    with np.load(DATA / f"tiny_{kind}.npz") as arrays:
        return arrays["in0"], arrays["out0"]


def add_tiny(store: ArtifactStore, kind: str, *, model: str = "tiny", key: str = "a" * 64) -> Artifact:
    """Put the tiny model into a store."""
    given, expected = tiny_pair(kind)
    return store.add(
        DATA / f"tiny.{kind}",
        [given],
        [expected],
        format=kind,
        model=model,
        precision="fp32",
        inputs=(InputSpec(name="input", dtype="float32", shape=SHAPES[kind]),),
        outputs=(OutputSpec(name="output", dtype="float32", shape=(1, 10)),),
        weights="random",
        tolerance=1e-3,
        reference="pytorch",
        key=key,
    )


def written(folder: Path) -> dict[str, list[str]]:
    """Return name -> the complete lines of each journal of a run."""
    paths = [folder / "journal.jsonl", *sorted(folder.glob("devices/*.jsonl"))]
    found = {path.name: path.read_text(errors="replace").splitlines(keepends=True) for path in paths}
    return {name: [line for line in lines if len(line) > 1 and line.endswith("\n")] for name, lines in found.items()}


@dataclass
class Bench:
    """The command in a folder of its own, with a workspace of its own.

    Its runs make the planned restarts and measure no control, unless `adaptive` and `control` say otherwise.
    """

    program: ClassVar[str] = "from harness.cli import main; main()"

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 240
    control: bool = False
    adaptive: bool = False

    @property
    def workspace(self) -> Path:
        return self.folder / ".bench"

    def command(self, *arguments: str) -> list[str]:
        is_new = arguments[:1] == ("run",) and "--resume" not in arguments
        # How many restarts a busy machine makes necessary is not what most tests are about, nor is the control.
        extra = ["--fixed"] if is_new and not (self.adaptive or set(ADAPTIVE) & set(arguments)) else []
        extra += ["--no-control"] if is_new and not self.control else []
        return [sys.executable, "-c", self.program, *arguments, *extra]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it in the background."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": CACHE, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_restarts(
        self, count: int, process: subprocess.Popen[str], *, device: str | None = None, earlier_runs: int = 0
    ) -> None:
        """Wait until `process` has written down that many restarts, those of one device where one is named."""

        def are_there() -> bool:
            runs = sorted(path.parent for path in self.workspace.glob("runs/*/journal.jsonl"))[earlier_runs:]
            found = written(runs[0]) if runs else {}
            if device:
                found = {name: found[name] for name in found if name == f"{device}.jsonl"}
            return sum('"kind":"restart"' in line for lines in found.values() for line in lines) >= count

        wait_until(are_there, process, limit_s=300)

    def __call__(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end and check its exit code; it may never print a traceback."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=self.timeout_s)
        assert "Traceback" not in stderr, stderr
        assert process.returncode == expect, f"exit {process.returncode}\n{stdout}\n{stderr}"
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run it with `--json` and return what it printed."""
        return json.loads(self(*arguments, "--json", expect=expect).stdout)

    def rows(self, *arguments: str, expect: int = 0) -> list[dict[str, Any]]:
        """Run something that lists results."""
        return list(self.json(*arguments, expect=expect)["rows"])

    def copy_model(self, kind: str = "onnx", name: str = "tiny") -> Path:
        """Put the tiny model into the folder as a user's file."""
        target = self.folder / f"{name}.{kind}"
        target.write_bytes((DATA / f"tiny.{kind}").read_bytes())
        return target
