"""Synthetic runs that look like real ones: seeded, with every verdict in them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from results.records import (
    Accuracy,
    Case,
    ModelFacts,
    Moment,
    Profile,
    Restart,
    Row,
    RunDocument,
    RunHeader,
    Sustained,
    Verdict,
)

STANDARD = Profile(
    name="standard",
    restarts=5,
    min_iterations=50,
    min_seconds=1,
    max_seconds=30,
    warmup_min_iterations=5,
    warmup_min_seconds=0.2,
    warmup_max_seconds=10,
)
DEVICES = {"pi4": 4.0, "jetson-orin": 1.3, "laptop": 0.5}
BACKENDS = {"onnxruntime": 1.0, "openvino": 0.82, "tflite": 1.15}
# name, parameters, multiply-adds, top-1 %
ZOO = (
    ("mobilenet_v2", 3_504_872, 300_774_272, 71.88),
    ("mobilenet_v3_small", 2_542_856, 56_516_336, 67.67),
    ("mobilenet_v3_large", 5_483_032, 216_589_760, 74.04),
    ("efficientnet_lite0", 4_652_008, 385_000_000, 75.1),
    ("shufflenet_v2_x1_0", 2_278_604, 144_901_760, 69.36),
    ("squeezenet1_1", 1_235_496, 349_152_000, 58.18),
    ("mnasnet1_0", 4_383_312, 314_415_872, 73.46),
    ("ghostnet_1x", 5_183_016, 141_000_000, 73.98),
)


def case_id(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def make_case(device: str = "pi4", model: str = "mobilenet_v2", backend: str = "onnxruntime", **changes: Any) -> Case:
    values: dict[str, Any] = {"precision": "fp32", "threads": 4} | changes
    identity = case_id(device, model, backend, sorted(values.items()))
    digest = hashlib.sha256(model.encode()).hexdigest()
    values = {"artifact_sha256": digest, "artifact_format": "onnx"} | values
    return Case(case_id=identity, device=device, model=model, backend=backend, **values)


def make_restart(case: Case, number: int = 0, *, median_ms: float = 20.0, n: int = 60, **changes: Any) -> Restart:
    """A good restart around a median: right-skewed iterations, as interrupts make them."""
    rng = np.random.default_rng([int(case.case_id, 16), number])
    samples = median_ms * 1e6 * (1 + 0.01 * rng.standard_normal(n) + 0.02 * rng.exponential(size=n) ** 2)
    values: dict[str, Any] = {
        "started_at": f"2026-01-02T03:{number % 60:02}:00Z",
        "wall_ns": int(samples.sum() + 20e6 * median_ms) + 10**9,  # load, first inference and warm-up are in it too
        "outcome": "ok",
        "agent": {"backend_version": "1.27.0", "python": "3.11.2"},
        "actual": {"providers": ["CPUExecutionProvider"], "threads": case.threads},
        "load_ns": int(median_ms * 4e6),
        "first_ns": int(median_ms * 1.6e6),
        "verified": True,
        "warmup_ns": tuple(int(value) for value in samples[:5] * 1.2),
        "warmup_stable": True,
        "samples_ns": tuple(int(value) for value in samples),
        "peak_rss_bytes": 90 * 2**20 + number,
    }
    if "samples_ns" in changes:  # whatever they are, the restart took that long
        values["wall_ns"] = sum(changes["samples_ns"]) + 10**9
    values |= changes
    return Restart(case_id=case.case_id, round=number, **values)


def make_lost(case: Case, number: int = 0, outcome: str = "failed", reason: str = "exit code 137") -> Restart:
    values: dict[str, Any] = {"outcome": outcome, "reason": reason}
    return Restart(case_id=case.case_id, round=number, started_at="2026-01-02T03:00:00Z", wall_ns=10**9, **values)


def make_document(
    cases: list[Case], restarts: list[Restart], models: tuple[ModelFacts, ...] = (), **changes: Any
) -> RunDocument:
    values: dict[str, Any] = {"run_id": "20260102-030000-abcd", "seed": 7, "profile": STANDARD} | changes
    finished = values.pop("finished_at", "2026-01-02T04:00:00Z")
    header = RunHeader(
        started_at="2026-01-02T03:00:00Z", bench_version="0.1.0", models=models, cases=tuple(cases), **values
    )
    return RunDocument(header=header, restarts=tuple(restarts), finished_at=finished)


def make_facts(name: str, top1: float | None, **changes: Any) -> ModelFacts:
    accuracies: tuple[Accuracy, ...] = ()
    if top1 is not None:
        values: dict[str, Any] = {"kind": "published", "source": "the model's own paper, table 2"} | changes
        accuracies = (Accuracy(value=top1, **values),)
    return ModelFacts(name=name, family=name.split("_")[0], weights="random", resolution=224, accuracies=accuracies)


def make_run(
    devices: int = 3, models: int = 8, backends: int = 3, seed: int = 0, restarts: int = 5, n: int = 60
) -> RunDocument:
    """A night: the whole zoo on every device and backend, with one lost, one unsupported, one unstable case of each."""
    rng = np.random.default_rng(seed)
    facts, cases, done = [], [], []
    for number in range(models):
        name, parameters, multiply_adds, top1 = ZOO[number % len(ZOO)]
        generation = number // len(ZOO)
        name = name if generation == 0 else f"{name}_v{generation}"
        fact = make_facts(name, None if number % 17 == 16 else round(top1 - 2.3 * generation, 2), recalled=number == 3)
        facts.append(fact.model_copy(update={"parameters": parameters, "multiply_adds": multiply_adds}))
        scale = (multiply_adds / 3e8) ** 0.8 * 0.75**generation
        for device, slowness in list(DEVICES.items())[:devices]:
            for backend, factor in list(BACKENDS.items())[:backends]:
                precision, gain = (("int8", 0.55), ("fp32", 1.0))[(number + (backend == "tflite")) % 3 > 0]
                case = make_case(device, name, backend, precision=precision, threads=4)
                median = 20 * scale * slowness * factor * gain * rng.uniform(0.85, 1.2)
                kept, measured = _restarts(case, number, backend, median, restarts, n, rng)
                cases.append(kept)
                done += measured
    return make_document(cases, done, tuple(facts), profile=STANDARD.model_copy(update={"restarts": restarts}))


def _restarts(
    case: Case, number: int, backend: str, median: float, restarts: int, n: int, rng: np.random.Generator
) -> tuple[Case, list[Restart]]:
    if number % 8 == 5 and backend == "tflite":
        return case.model_copy(update={"unsupported": "tflite cannot read a model in onnx format"}), []
    if number % 8 == 6 and backend == "openvino":
        lost = [make_lost(case, r, reason="the output differs from the reference by 0.31") for r in range(restarts)]
        return case, lost
    spread = 0.25 if number % 8 == 4 and backend == "onnxruntime" else 0.012
    medians = median * (1 + spread * rng.standard_normal(restarts)).clip(0.4)
    return case, [make_restart(case, r, median_ms=float(value), n=n) for r, value in enumerate(medians)]


def make_row(model: str = "m", median: float | None = 10.0, top1: float | None = 70.0, **changes: Any) -> Row:
    """One row for tests of pareto and the pages; the interval is 1 % around the median unless given."""
    accuracies: tuple[Accuracy, ...] = ()
    if top1 is not None:
        kind, ci95 = changes.pop("kind", "published"), changes.pop("accuracy_ci95", None)
        accuracies = (Accuracy(value=top1, kind=kind, source="the model's own paper", ci95=ci95),)
    values: dict[str, Any] = {
        "run": "20260102-030000-abcd",
        "started_at": "2026-01-02T03:00:00Z",
        "device": "pi4",
        "family": "f",
        "backend": "onnxruntime",
        "backend_version": "1.27.0",
        "precision": "fp32",
        "threads": 4,
        "options": {},
        "verdict": Verdict.VALID,
        "reason": "",
        "ci95_ms": None if median is None else (median * 0.99, median * 1.01),
        "spread_ms": None if median is None else median * 0.005,
        "percentiles_ms": {} if median is None else {"p50": median, "p90": median * 1.1},
        "verified": median is not None,
        "n_restarts": 0 if median is None else 5,
        "n_iterations": 0 if median is None else 300,
        "load_ms": 40.0,
        "first_ms": 15.0,
        "peak_rss_bytes": 90 * 2**20,
        "artifact_sha256": None,
        "artifact_format": "onnx",
        "weights": "random",
        "resolution": 224,
        "parameters": 3_500_000,
        "multiply_adds": 300_000_000,
        "actual": {},
        "environment": {},
    } | changes
    identity = case_id(model, values["device"], values["backend"], values["precision"], values["threads"])
    return Row(model=model, median_ms=median, accuracies=accuracies, case_id=identity, **values)


def make_sustained(model: str, top1: float, peak_ms: float, end_ms: float, **changes: Any) -> Row:
    """A row of ten minutes: in the fourth it goes from one latency to the other, getting warmer."""
    steps = np.arange(120)
    curve = tuple(
        Moment(
            at_s=5.0 * (step + 1),
            median_ms=peak_ms + (end_ms - peak_ms) * min(1, max(0, (step - 36) / 12)),
            temperature_c=45 + step / 4,
        )
        for step in steps.tolist()
    )
    found = Sustained(
        minutes=10,
        peak_ms=peak_ms,
        peak_ci95_ms=(peak_ms, peak_ms),
        loss_share=1 - peak_ms / end_ms,
        throttled_after_s=200 if end_ms > 1.1 * peak_ms else None,
        hottest_c=75,
        curve=curve,
    )
    values = {"ci95_ms": (end_ms, end_ms), "percentiles_ms": {}, "sustained": found, "n_restarts": 1} | changes
    return make_row(model, end_ms, top1, **values)
