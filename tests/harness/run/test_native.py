"""Which tool a runtime is held against, and what their restarts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.fleet.devices import LOCAL
from harness.run.native import beside, tool_of
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from tests.results.factory import STANDARD, make_case, make_lost, make_restart

CASE, TOOL = make_case(backend="openvino"), make_case(backend="benchmark_app")


def test_a_tool_gets_the_options_of_its_runtime(tmp_path: Path) -> None:
    device = LOCAL.model_copy(update={"backend_options": {"openvino": {"device": "GPU"}}})
    chosen = BackendChoice("openvino", {"inference_precision": "f16"})
    tool = tool_of(device, Workspace(tmp_path), chosen)
    assert tool == BackendChoice("benchmark_app", {"device": "GPU", "inference_precision": "f16"})
    assert tool_of(device, Workspace(tmp_path), BackendChoice("onnxruntime")) is None


def test_the_user_s_own_copy_of_tflite_s_tool_is_taken(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"a program")
    asked = {"benchmark_model": {"binary": str(tmp_path / "tool")}}
    device = LOCAL.model_copy(update={"backend_options": asked})
    tool = tool_of(device, Workspace(tmp_path), BackendChoice("tflite"))
    assert tool is not None
    assert tool.backend == "benchmark_model"
    assert tool.options["binary"].startswith("tool@")
    assert tool.options["delegate"] == "xnnpack"
    (tmp_path / "tool").unlink()
    with pytest.raises(ConfigError, match="cannot be read here"):
        tool_of(device, Workspace(tmp_path), BackendChoice("tflite"))


def test_restarts_of_the_same_rounds_are_held_against_one_another() -> None:
    ours = [make_restart(CASE, number, samples_ns=(ns,) * 60) for number, ns in enumerate((10**7, 10**7, 5 * 10**7))]
    told = {"aggregates": "each restart is the median"}
    theirs = [make_restart(TOOL, number, samples_ns=(8 * 10**6,), actual=told) for number in (0, 1)]
    found = beside(CASE, TOOL, {CASE.case_id: ours, TOOL.case_id: theirs}, STANDARD)
    assert (found.bench_ms, found.tool_ms, found.restarts) == (10, 8, 2)
    assert found.ratio == found.least == found.most == 1.25


def test_why_there_is_no_ratio() -> None:
    ours = [make_restart(CASE, 0)]
    lost = [make_lost(TOOL, 0, reason="the tool ended with code 1")]
    assert beside(CASE, TOOL, {CASE.case_id: ours, TOOL.case_id: lost}, STANDARD).reason == "the tool ended with code 1"
    unsupported = TOOL.model_copy(update={"unsupported": "it cannot read that"})
    nothing = beside(CASE, unsupported, {CASE.case_id: ours, TOOL.case_id: []}, STANDARD)
    assert (nothing.tool, nothing.reason) == ("benchmark_app", "it cannot read that")
    assert beside(make_case(backend="mine"), None, {}, STANDARD).reason == "no tool of its own is known"
