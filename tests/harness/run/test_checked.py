"""The host compares by itself: a device that calls anything verified is not believed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from harness.run.checked import checked
from models.artifacts import ArtifactStore
from results import journal
from tests.results.factory import STANDARD, make_case, make_restart
from tests.rigs.bench import Bench


@pytest.mark.parametrize(
    ("difference", "outcome", "cause"),
    [
        (None, "ok", None),
        (0.0, "ok", None),
        (2.9e-3, "ok", None),
        (3.1e-3, "failed", "wrong-output"),
        (1e308, "failed", "wrong-output"),
    ],
)
def test_the_difference_is_held_against_the_reference(
    bench: Bench, difference: float | None, outcome: str, cause: str | None
) -> None:
    bench.copy_model("onnx")
    bench("run", "--backends", "fake", "--models", "tiny.onnx")
    store = ArtifactStore(bench.workspace / "artifacts")
    (artifact,) = store.all()
    with np.load(store.io_path(artifact)) as arrays:
        largest = float(np.abs(arrays["out0"]).max())
    scale = artifact.tolerance * largest / 3e-3
    told = None if difference is None else min(difference * scale, 1e308)
    case = make_case()
    restart = checked(make_restart(case, max_abs_diff=told), case, STANDARD, artifact, store)
    assert (restart.outcome, restart.cause) == (outcome, cause)
    assert restart.tolerance == (None if told is None else pytest.approx(3e-3 * scale))


def test_a_pair_that_cannot_be_read_leaves_the_device_s_own_check(bench: Bench, tmp_path: Path) -> None:
    bench.copy_model("onnx")
    bench("run", "--backends", "fake", "--models", "tiny.onnx")
    (artifact,) = ArtifactStore(bench.workspace / "artifacts").all()
    case = make_case()
    restart = make_restart(case, max_abs_diff=1.0)
    assert checked(restart, case, STANDARD, artifact, ArtifactStore(tmp_path / "empty")) == restart


LIAR = """#!{python}
import json, subprocess, sys
agent = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
for line in agent.stdout:
    event = json.loads(line)
    if event["event"] == {event!r}:
        event.update({lie})
    print(json.dumps(event), flush=True)
sys.exit(agent.wait())
"""


@pytest.mark.parametrize(
    ("event", "lie", "words"),
    [
        ("samples", {"ns": [86_400 * 10**9]}, "the device tells 8.64e+04 s of inferences in a restart that took"),
        ("samples", {"ns": [7]}, "the device tells 1 timed inferences in 7e-09 s, and at least 20 were asked for"),
        ("verified", {"max_abs_diff": 1e308}, "wrong output: it is off by 1e+308, allowed"),
    ],
)
def test_a_device_that_lies_has_no_numbers(bench: Bench, event: str, lie: dict[str, object], words: str) -> None:
    bench.copy_model("onnx")
    python = bench.folder / "python"
    python.write_text(LIAR.format(python=sys.executable, event=event, lie=lie))
    python.chmod(0o755)
    (bench.folder / "devices.toml").write_text(f'[devices.liar]\ntransport = "local"\npython = "{python}"\n')
    arguments = ("run", "--device", "liar", "--backends", "onnxruntime", "--models", "tiny.onnx")
    (row,) = bench.rows(*arguments, expect=1)
    assert (row["verdict"], row["median_ms"], row["n_restarts"]) == ("failed", None, 0)
    assert row["reason"].startswith(words)
    (folder,) = (bench.workspace / "runs").iterdir()
    assert [restart.attempt for restart in journal.read(folder).restarts] == [0, 1]  # it had its second try
