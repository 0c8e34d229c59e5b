"""Real model files of real packages, each under every runtime and beside the bare runtime: `make test-real-models`.

A row is right when the bare runtime, given the same file and input, comes equally near to the reference; a reason why a
file is not measured is true when the bare runtime refuses it in the same words.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.store import ArtifactStore
from tests.perf import bare
from tests.real import fetch
from tests.rigs.quick import Rows, measure

pytestmark = [pytest.mark.real_models, pytest.mark.timeout(3600)]

PACKAGES = fetch.packages()
FILES = [file for package in PACKAGES for file in package.files]
READS = {"onnxruntime": {".onnx"}, "openvino": {".onnx", ".tflite"}, "tflite": {".tflite"}}
WRONG, WRONG_DB = "wrong output", 20.0
EQUAL_DB = 100.0  # from here on only last bits differ, in an order that fusions decide
MEASURED = {"valid", "unstable"}  # a shared machine may be noisy, never wrong


@dataclass(frozen=True)
class Ran:
    """What came of all files together."""

    rows: Rows
    store: ArtifactStore


@pytest.fixture(scope="module")
def ran() -> Iterator[Ran]:
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            package.fetch()
            for file in package.files:
                (Path(folder) / file.name).symlink_to(file.cached)
                if file.inputs:
                    (Path(folder) / file.name).with_suffix(".toml").write_text(file.toml())
        rows = measure(Path(folder), timeout_s=3000)
        counts = Counter((backend, row["verdict"], row["verified"]) for (_, backend), row in rows.items())
        for (backend, verdict, verified), count in sorted(counts.items()):
            print(f"{backend}: {count} {verdict}{', verified' if verified else ''}")
        for (stem, backend), row in sorted(rows.items()):
            if row["unverified"] or (row["reason"] and " reads " not in row["reason"]):
                print(f"{stem} {backend} {row['verdict']}: {row['reason'] or row['unverified']}")
        yield Ran(rows, ArtifactStore(Path(folder) / ".bench" / "artifacts"))


@dataclass(frozen=True)
class Alone:
    """What the bare runtime did with the user's file: how near its outputs came, or why it did not run.

    `snr_db` is the least of its floats, `steps` the most that an integer is off; None without any.
    """

    snr_db: float | None = None
    steps: int | None = None
    words: str = ""


def alone(file: fetch.RealFile, backend: str, io: Path, folder: Path) -> Alone:
    """In a process of its own: some runtimes end theirs."""
    written = folder / "outputs.npz"
    command = [sys.executable, bare.__file__, backend, str(file.cached), str(io), str(written)]
    environment = {**os.environ, "PYTHONPATH": str(fetch.ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return Alone(words=done.stderr)
    with np.load(io) as pair, np.load(written) as made:
        pairs = [(made[f"arr_{n}"], pair[f"out{n}"]) for n in range(len(made.files)) if f"out{n}" in pair.files]
    floats = [snr_db(output, reference) for output, reference in pairs if reference.dtype.kind == "f"]
    steps = [
        int(np.abs(output.astype(np.int64) - reference.astype(np.int64)).max())
        for output, reference in pairs
        if reference.dtype.kind != "f"
    ]
    return Alone(min(floats, default=None), max(steps, default=None))


def snr_db(output: np.ndarray, reference: np.ndarray) -> float:
    signal, noise = reference.astype(np.float64), output.astype(np.float64) - reference.astype(np.float64)
    if not noise.any():
        return 200.0
    return min(200.0, 10 * float(np.log10((signal**2).sum() / (noise**2).sum())))


@pytest.mark.parametrize(
    ("file", "backend"),
    [(file, backend) for file in FILES for backend in READS],
    ids=lambda one: one.name if isinstance(one, fetch.RealFile) else one,
)
def test_a_real_file(ran: Ran, tmp_path: Path, file: fetch.RealFile, backend: str) -> None:
    row = ran.rows[Path(file.name).stem, backend]
    if Path(file.name).suffix not in READS[backend]:
        assert row["verdict"] == "unsupported"
        assert f"{backend} reads" in row["reason"]
        return
    beside = alone(file, backend, io_of(ran.store, row), tmp_path)
    verdict, _, words = file.expect.get(backend, "").partition(": ")
    if verdict:
        assert row["verdict"] == verdict, row["reason"]
        assert words in row["reason"]
        # Here the bare runtime is wrong, too, or refuses the file in the same words.
        assert words in (WRONG if (beside.snr_db or WRONG_DB) < WRONG_DB else beside.words)
        return
    assert row["verdict"] in MEASURED, row["reason"]
    assert not beside.words
    assert row["weights_precision"].partition(" + ")[0] == file.weights
    assert row["verified"] == (not file.unverified), row["unverified"]
    assert file.unverified in row["unverified"]
    if row["verified"]:
        agree(row, beside)


def agree(row: dict[str, Any], beside: Alone) -> None:
    """The bare runtime is as far from the reference as the one that was measured."""
    assert beside.snr_db is not None or beside.steps is not None
    if beside.snr_db is not None:
        assert min(row["snr_db"], EQUAL_DB) == pytest.approx(min(beside.snr_db, EQUAL_DB), abs=1)
    if beside.steps is not None:
        assert beside.steps <= 2


def io_of(store: ArtifactStore, row: dict[str, Any]) -> Path:
    """The input that the file was fed."""
    (artifact,) = [made for made in store.all() if made.sha256 == row["artifact_sha256"]]
    return store.io_path(artifact)
