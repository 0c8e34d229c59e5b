"""`bench run --profile sustained`: a device that becomes slower in the middle of it."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.run.plan import PROFILES, sustained
from results import journal
from results.frame import read
from tests.rigs.bench import DATA, Bench


def test_a_run_of_seconds_in_place_of_minutes(bench: Bench) -> None:
    shutil.copy(DATA / "tiny.onnx", bench.folder)
    slow = ("--backend-option", "fake.sleep_ms=5", "--backend-option", "fake.slow_after_s=0.9")
    said = bench(
        "run", "-m", "tiny.onnx", "--backends", "fake", *slow, "--profile", "sustained", "--minutes", "0.02", "--json"
    )
    (row,) = json.loads(said.stdout)["rows"]
    found = row["sustained"]
    assert 0.02 <= found["minutes"] < 0.2
    assert row["median_ms"] >= 7.5
    assert 5 <= found["peak_ms"] < row["median_ms"]
    assert found["loss_share"] > 0.1
    assert len(found["curve"]) <= 12
    assert row["verdict"] in ("valid", "contended", "unstable")
    (run,) = (bench.workspace / "runs").iterdir()
    assert 'id="sustained-heading"' in (run / "report.html").read_text()
    (restart,) = journal.read(run).restarts
    assert restart.samples_ns == ()
    assert read(run).sustained_peak_ms[0] == found["peak_ms"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--minutes", "5"), "--minutes is for --profile sustained"),
        (("--profile", "sustained", "--target-ci", "1%"), "leave out --target-ci and --max-minutes"),
        (("--profile", "sustained", "--minutes", "0"), "0.01<=x<=720"),
    ],
)
def test_what_does_not_go_together(bench: Bench, options: tuple[str, ...], words: str) -> None:
    assert words in bench("run", *options, expect=2).stderr


@pytest.mark.parametrize(("minutes", "span_s"), [(0.01, 0.1), (1, 0.1), (10, 1.0), (720, 72.0)])
def test_a_curve_has_about_600_points_at_most(minutes: float, span_s: float) -> None:
    assert sustained(minutes).span_seconds == pytest.approx(span_s)
    assert PROFILES["sustained"] == sustained(10)
