"""The control series in whole runs: measured in every round, in no table, deciding nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.link.manners import Manners
from harness.run import start
from harness.run.plan import PROFILES, BackendChoice
from harness.run.start import RunRequest
from harness.workspace import Workspace
from models import control
from models.prepare import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from results import journal
from tests.rigs.bench import ROOT, Bench, add_tiny
from tests.rigs.fleet import fleet


def with_control(bench: Bench) -> Bench:
    bench.control = True
    bench.copy_model("onnx")
    return bench


def test_a_run_measures_the_control_in_every_round(bench: Bench) -> None:
    bench = with_control(bench)
    asked = ("run", "--models", "tiny.onnx", "--backends", "onnxruntime,fake")
    plan = bench.json(*asked, "--dry-run")
    assert len(plan["cases"]) == 2
    assert plan["restarts"] == 4
    assert [(case["backend"], case["threads"]) for case in plan["controls"]] == [("onnxruntime", 1), ("fake", 1)]
    shown = bench(*asked, "--dry-run").stdout
    assert "the control, too (--no-control leaves it out): onnxruntime on local, fake on local" in shown
    assert "2 cases, 4 restarts" in shown
    assert not (bench.workspace / "artifacts" / control.SHA256["onnx"]).exists(), "a plan writes nothing"

    text = bench(*asked).stdout
    assert control.NAME not in text, "not in the table"
    assert "control: onnxruntime " in text
    (folder,) = (bench.workspace / "runs").iterdir()
    document = journal.read(folder)
    controls = {case.case_id for case in document.header.cases if case.control}
    assert [restart.outcome for restart in document.restarts if restart.case_id in controls] == ["ok"] * 4
    assert all(restart.verified for restart in document.restarts if restart.case_id in controls)
    assert 'id="controls"' in (folder / "report.html").read_text()

    listed = bench.rows("results", "list")
    assert [row["control"] for row in listed] == [False, False, True, True]
    for row, beside in zip(listed[:2], listed[2:], strict=True):
        assert (row["control_ms"], row["control_ci95_ms"]) in (
            (beside["median_ms"], beside["ci95_ms"]),
            (None, None),  # of a shared machine not every control is valid
        )
        assert beside["artifact_sha256"] == control.SHA256["onnx"]


def test_a_control_that_fails_is_told_and_fails_nothing(bench: Bench) -> None:
    """Here by a tolerance that no runtime meets."""
    bench = with_control(bench)
    spoil = "import models.sources.control as source\nsource.TOLERANCES = {'fp32': 1e-12}\n"
    command = bench.command("run", "--models", "tiny.onnx", "--backends", "onnxruntime", "--seed", "1")
    command[2] = spoil + command[2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **bench.environment}
    done = subprocess.run(command, cwd=bench.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("control: ")]
    assert line.startswith("control: onnxruntime failed (check of the output: wrong output")


def test_a_control_is_measured_only_beside_latencies(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    tiny = add_tiny(store, "onnx")
    asked = RunRequest(fleet(1), (), [BackendChoice("fake")], PROFILES["quick"], control=True)
    for changes, expected in (({}, 1), ({"restarts": 0}, 0), ({"name": "sustained"}, 0)):
        profile = PROFILES["quick"].model_copy(update=changes)
        request = RunRequest(asked.devices, (), asked.backends, profile, control=True)
        model = Prepared(OwnModel("tiny", {}), {tiny.form: tiny})
        run, artifacts = start.begin(request, [model], Workspace(tmp_path), Manners())
        found = [case for case in run.header.cases if case.control]
        assert len(found) == expected
        assert len(artifacts) == 1 + expected
        assert {model.name for model in run.header.models} == ({"tiny", control.NAME} if expected else {"tiny"})
        run.finish()
