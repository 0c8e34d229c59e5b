"""A runtime beside its makers' own tool: the same artifact in the same rounds, so that both meet one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.fleet.devices import Device
from harness.run import tools
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from results.judge.device import noise
from results.judge.measurement import last_attempts
from results.judge.validity import judge_restart
from results.records import Case, Profile, Restart

_TOOLS = {"openvino": "benchmark_app", "tflite": "litert_benchmark"}
_NONE = {
    "onnxruntime": "its package has none that takes a number of threads (onnxruntime_test computes with all cores)",
}


@dataclass(frozen=True)
class Native:
    """How long inferences take by bench and by the tool; `reason` is why that is not known, "" where it is.

    `ratio` is that of the medians of as many restarts of each, all inferences counted, as the tool counts them; above 1
    bench says more. It lies between `least` and `most`, the ratios of restarts of one round.
    """

    tool: str | None
    reason: str = ""
    bench_ms: float | None = None
    tool_ms: float | None = None
    ratio: float | None = None
    least: float | None = None
    most: float | None = None
    restarts: int = 0


def tool_of(device: Device, workspace: Workspace, choice: BackendChoice) -> BackendChoice | None:
    """Return the runtime's own tool with the same options; None where it has none. Raises ConfigError.

    Where devices.toml names a copy of TFLite's tool, that one is taken. An option that a tool does not have makes its
    case unsupported.
    """
    binary = device.backend_options.get("benchmark_model", {}).get("binary")
    if choice.backend == "tflite" and binary is not None:
        kept = tools.keep(workspace, "benchmark_model", {"binary": binary})
        return BackendChoice("benchmark_model", {**kept, "delegate": "xnnpack"})
    if choice.backend not in _TOOLS:
        return None
    return BackendChoice(_TOOLS[choice.backend], {**device.backend_options.get(choice.backend, {}), **choice.options})


def beside(case: Case, tool: Case | None, made: Mapping[str, Sequence[Restart]], profile: Profile) -> Native:
    """Hold a case against that of its runtime's tool; `made` are the restarts by case."""
    if tool is None:
        return Native(None, _NONE.get(case.backend, "no tool of its own is known"))
    judged = [(one, judge_restart(one, tool, profile)) for one in last_attempts(list(made[tool.case_id]))]
    theirs = {one.round: _median_ms(one) for one, judgment in judged if judgment.has_numbers}
    ours = {one.round: _median_ms(one) for one in last_attempts(list(made[case.case_id])) if one.samples_ns}
    rounds = sorted(theirs.keys() & ours.keys())
    if not rounds:
        why = tool.unsupported or (judged[-1][1].reason if judged else "it was not measured")
        return Native(tool.backend, why)
    ratios = [ours[number] / theirs[number] for number in rounds]
    bench_ms, tool_ms = (float(np.median([of[number] for number in rounds])) for of in (ours, theirs))
    return Native(
        tool.backend,
        bench_ms=bench_ms,
        tool_ms=tool_ms,
        ratio=bench_ms / tool_ms,
        least=min(ratios),
        most=max(ratios),
        restarts=len(rounds),
    )


def _median_ms(restart: Restart) -> float:
    return float(np.median(noise.split(restart).observed)) / noise.NS_PER_MS
