"""What nights find: ten models and three runtimes measured many times over, some of them longer. Figures by `-s`."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
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
from results.judge.change.fitness import EFFECT, FEWEST, fitness
from results.judge.change.mannwhitney import Values
from results.judge.change.planning import BASELINE, RESTARTS
from results.judge.device.noise import best_probe_ns
from results.judge.measurement import Measurement, last_attempts
from results.judge.statistics import restart_medians
from tests.perf.test_harness import TEN
from tests.rigs.bench import ROOT, Bench

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3 * 3600)]

NIGHTS, LONGER_NIGHTS = 12, 3
LONGER_BY = 0.07
"""Multiply-adds; blocks differ in how much latency goes with them."""
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
        return None if one is None else restart_medians(one.samples_ms)


def night(bench: Bench, models: str) -> Night:
    bench("run", "--models", models, "--threads", "1", "--accuracy", "none")
    document = journal.read(sorted((bench.workspace / "runs").iterdir())[-1])
    restarts = defaultdict(list)
    for restart in document.restarts:
        restarts[restart.case_id].append(restart)
    best_ns, found = best_probe_ns(document.restarts), Night()
    cases = {case.case_id: case for case in document.header.cases}
    for row in summary.rows(document):
        found.verdicts[row.verdict.value] += 1
        if row.verdict.value == "valid":
            made = last_attempts(restarts[row.case_id])
            one = Measurement(cases[row.case_id], document.header.profile, made, True, best_probe_ns=best_ns)
            found.measured[row.model.removesuffix("-longer"), row.backend] = one
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


def floor(nights: list[Night], case: Case) -> float:
    """How far whole measurements of these nights differ: the standard deviation of their logarithms."""
    medians = [np.median(one) for night in nights if (one := night.medians_ms(case)) is not None]
    return float(np.std(np.log(medians), ddof=1)) if len(medians) > 1 else 0.0


def report(nights: list[Night], after: dict[int, Night]) -> None:
    verdicts = sum((one.verdicts for one in [*nights, *after.values()]), Counter[str]())
    print(f"\nmeasurements: {dict(verdicts)}")
    cases = sorted({case for one in nights for case in one.measured})
    fit = {case for case in cases if is_fit(nights, case)}
    print(f"fit to find {EFFECT:.0%}: {len(fit)} of {len(cases)} series")

    def held(number: int, tonight: Night, case: Case) -> Any:
        """That night's measurement against three before it, by what all nights before say of the device."""
        new, old = tonight.medians_ms(case), [one.medians_ms(case) for one in nights[:number]]
        kept = [one for one in old if one is not None][-BEFORE:]
        if new is None or len(kept) < BEFORE:
            return None
        return compare(new, np.concatenate(kept), floor=floor(nights[:number], case))

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
        old = [np.median(m) for one in nights if (m := one.medians_ms(case)) is not None]
        new = [np.median(m) for one in after.values() if (m := one.medians_ms(case)) is not None]
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
    print(f"slower by {EFFECT:.0%} and more: where the device is fit {dict(both[True])}, elsewhere {dict(both[False])}")


def is_fit(nights: list[Night], case: Case) -> bool:
    measurements = [one.measured[case] for one in nights if case in one.measured]
    made = [restart for one in measurements for restart in one.restarts]
    return bool(measurements) and fitness(measurements, made).is_fit
