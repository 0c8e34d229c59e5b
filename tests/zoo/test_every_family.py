"""Every default variant, exported for real and run under every runtime. Minutes: `make test-zoo`."""

from __future__ import annotations

import json

import pytest

from models.store import ArtifactStore
from models.zoo import catalog
from tests.rigs.bench import ROOT, Bench

pytestmark = [pytest.mark.zoo, pytest.mark.timeout(3600)]


def test_every_family_runs_valid_under_every_runtime() -> None:
    """In the checkout's own workspace, so that what is exported once stays."""
    bench = Bench(ROOT)
    process = bench.start("run", "--models", "all", "--json")
    stdout, stderr = process.communicate()
    rows = json.loads(stdout)["rows"]
    assert {row["model"] for row in rows} == {variant.name for variant in catalog.select("all")}
    wrong = [(row["model"], row["backend"], row["reason"]) for row in rows if row["verdict"] == "failed"]
    assert not wrong, stderr
    for row in rows:
        # A busy machine makes rows unstable; what a runtime cannot do is named.
        assert row["verdict"] in {"valid", "unstable", "contended"} or row["reason"], row
        assert row["n_restarts"] == 2 or row["verdict"] == "unsupported", row


def test_every_artifact_computes_what_pytorch_computes() -> None:
    names = {variant.name for variant in catalog.select("all")}
    artifacts = [a for a in ArtifactStore(ROOT / ".bench" / "artifacts").all() if a.model in names]
    assert {(a.model, a.format) for a in artifacts} == {(name, kind) for name in names for kind in ("onnx", "tflite")}
    for artifact in artifacts:
        assert artifact.max_abs_diff is not None
        assert artifact.max_abs_diff < 1e-3, (artifact.model, artifact.format, artifact.max_abs_diff)
