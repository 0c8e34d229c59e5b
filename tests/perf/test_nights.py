"""What nights find: ten models and three runtimes measured many times over, some of them longer. Figures by `-s`."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models import cost
from models.export import onnx, tflite, zoo
from models.export.orders import ZooOrder
from results import journal
from results.judge import summary
from results.judge.change.comparison import compare, corrected
from results.judge.change.fitness import EFFECT, FEWEST, fitness, noise_floor
from results.judge.change.mannwhitney import Values
from results.judge.change.planning import BASELINE, RESTARTS
from results.judge.measurement import Measurement, judge
from results.judge.stopping import half_width
from results.records import Verdict
from tests.perf.test_harness import TEN
from tests.rigs.bench import ROOT, Bench

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3 * 3600)]

NIGHTS, LONGER_NIGHTS = 12, 3
LONGER_BY = 0.07
"""Multiply-adds; blocks differ in how much latency goes with them."""
FIXED_S = 60
"""For so long MLPerf Mobile times a case, and 1024 inferences at least."""
BEFORE = BASELINE // RESTARTS
Case = tuple[str, str]


class Nightly(Bench):
    """Five restarts a case, as `standard` has, each as short as one of `quick`."""

    program = (
        "from harness.run.plan import PROFILES; from harness.cli import main; "
        f"PROFILES['quick'] = PROFILES['quick'].model_copy(update={{'restarts': {RESTARTS}}}); main()"
    )


@dataclass
class Night:
    """The valid measurements of a run, and how many others there were."""

    measured: dict[Case, Measurement] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)

    def medians_ms(self, case: Case) -> Values | None:
        one = self.measured.get(case)
        return None if one is None else one.medians_ms


def night(bench: Bench, models: str) -> Night:
    bench("run", "--models", models, "--threads", "1", "--accuracy", "none")
    found = Night()
    for one in summary.measurements(journal.read(sorted((bench.workspace / "runs").iterdir())[-1])):
        verdict, _ = judge(one)
        found.verdicts[verdict.value] += 1
        if verdict is Verdict.VALID:
            found.measured[one.case.model.removesuffix("-longer"), one.case.backend] = one
    return found


def longer(name: str) -> tuple[nn.Module, tuple[int, int, int], float]:
    """A variant with one of its own blocks once more: that which adds the share of multiply-adds nearest to the wanted.

    Returns the network, its shape, and that share.
    """
    order = ZooOrder(store="", model=name, variant=name, weights="random", targets=())
    network = zoo.load(order)
    total = cost.multiply_adds(network.module, network.shape)
    shares = {
        (path, place): cost.multiply_adds(block, shape) / total
        for path, place, block, shape in repeatable(network.module, network.shape)
    }
    path, place = min(shares, key=lambda one: (abs(shares[one] - LONGER_BY), one))
    row = network.module.get_submodule(path)
    row.insert(place + 1, copy.deepcopy(row[place]))
    return network.module, network.shape, shares[path, place]


def repeatable(module: nn.Module, shape: tuple[int, int, int]) -> list[tuple[str, int, nn.Module, tuple[int, ...]]]:
    """The blocks of its rows that answer a tensor of the shape that they are given: where they are, and that shape."""
    same: dict[nn.Module, tuple[int, ...]] = {}

    def note(one: nn.Module, given: Any, answer: Any) -> None:
        if isinstance(answer, torch.Tensor) and len(given) == 1 and given[0].shape == answer.shape:
            same[one] = tuple(answer.shape[1:])

    hooks = [one.register_forward_hook(note) for one in module.modules()]
    with torch.no_grad():
        module(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    rows = [(path, row) for path, row in module.named_modules() if isinstance(row, nn.Sequential)]
    found = [(path, place, block) for path, row in rows for place, block in enumerate(row)]
    return [(*one, same[one[2]]) for one in found if one[2] in same and cost.parameters(one[2])]


def export_longer(folder: Path) -> str:
    """Write both files of each longer network and return them as `--models` takes them."""
    paths = []
    for name in TEN.split(","):
        module, shape, share = longer(name)
        print(f"{name}: {share:.1%} more multiply-adds")
        for kind, export in (("onnx", onnx.export), ("tflite", tflite.export)):
            paths.append(folder / f"{name}-longer.{kind}")
            export(copy.deepcopy(module), (1, *shape), paths[-1])
    return ",".join(map(str, paths))


def test_alarms_and_slowdowns(benchmark: Any, tmp_path: Path) -> None:
    bench = Nightly(ROOT, timeout_s=3600, adaptive=True)
    bench("models", "export", TEN)
    slower = export_longer(tmp_path)
    nights: list[Night] = []
    after: dict[int, Night] = {}

    def measure() -> None:
        for number in range(NIGHTS):
            nights.append(night(bench, TEN))
            if (number + 1) % (NIGHTS // LONGER_NIGHTS) == 0:
                after[number] = night(bench, slower)

    benchmark.pedantic(measure, rounds=1)
    report(nights, after)


def medians_ms(nights: Iterable[Night], case: Case) -> list[Values]:
    return [one for night in nights if (one := night.medians_ms(case)) is not None]


def report(nights: list[Night], after: dict[int, Night]) -> None:
    verdicts = sum((one.verdicts for one in [*nights, *after.values()]), Counter[str]())
    print(f"\nmeasurements: {dict(verdicts)}")
    cases = sorted({case for one in nights for case in one.measured})
    fit = {case for case in cases if is_fit(nights, case)}
    print(f"fit to find {EFFECT:.0%}: {len(fit)} of {len(cases)} series")

    def held(number: int, tonight: Night, case: Case) -> Any:
        """That night's measurement against three before it, by what all nights before say of the device."""
        new, old = tonight.medians_ms(case), medians_ms(nights[:number], case)
        if new is None or len(old) < BEFORE:
            return None
        return compare(new, np.concatenate(old[-BEFORE:]), floor=noise_floor(old) or 0.0)

    told: Counter[str] = Counter()
    told_corrected: Counter[str] = Counter()
    for number in range(FEWEST, len(nights)):
        found = [one for case in cases if (one := held(number, nights[number], case)) is not None]
        told.update(one.verdict for one in found)
        told_corrected.update(one.verdict for one in corrected(found))
    print(f"nothing changed: {dict(told)}; corrected over each night: {dict(told_corrected)}")
    both: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    lines = []
    for case in cases:
        old, new = ([np.median(one) for one in medians_ms(of, case)] for of in (nights, after.values()))
        if not new:
            continue
        by = float(np.median(new) / np.median(old) - 1)
        found = [one for n, night in after.items() if (one := held(n + 1, night, case)) is not None]
        verdicts = Counter(one.verdict for one in found)
        if by >= EFFECT:
            both[case in fit].update(verdicts)
        lines.append(
            f"{case[0]} {case[1]} {np.median(old):.3f} ms, longer by {by:+.1%}, fit {case in fit}: {dict(verdicts)}"
        )
    print("\n".join(lines))
    twenty = [case for case in cases if case[1] != "openvino"]
    print("\n".join(time_to(nights, which, target) for which in (cases, twenty) for target in (0.01, 0.02)))
    print(f"slower by {EFFECT:.0%} and more: where the device is fit {dict(both[True])}, elsewhere {dict(both[False])}")


def is_fit(nights: list[Night], case: Case) -> bool:
    measurements = [one.measured[case] for one in nights if case in one.measured]
    made = [restart for one in measurements for restart in one.restarts]
    return bool(measurements) and fitness(measurements, made).is_fit


def time_to(nights: list[Night], cases: list[Case], target: float) -> str:
    """How long restarts, taken in the order of the nights, take until their interval reaches no further.

    With load and warm-up of each. Beside it how often the median of all restarts lies within.
    """
    took, inside = [], 0
    for case in cases:
        measured = [one.measured[case] for one in nights if case in one.measured]
        seconds = np.cumsum([restart.wall_ns / 1e9 for one in measured for restart in one.ok])
        medians = np.concatenate([one.medians_ms for one in measured])
        counts = range(3, medians.size + 1)
        enough = next((n for n in counts if half_width(medians[:n].tolist()) <= target), None)
        took.append(float("inf") if enough is None else float(seconds[enough - 1]))
        inside += enough is not None and abs(np.median(medians[:enough]) / np.median(medians) - 1) <= target
    return (
        f"{target:.0%} reached in {np.isfinite(took).sum()} of {len(took)} cases, after {np.median(took):.1f} s in the "
        f"median, {np.median(took) / FIXED_S:.0%} of {FIXED_S} s; in {inside} the median of all lies within"
    )
