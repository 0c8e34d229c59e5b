"""The reference of the user's own models: the host runtime's outputs, or why there are none."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.messages import is_lacking, plain
from models.artifacts import TOLERANCES, Precision
from models.comparison import float_limit, relative_steps, step_limits
from models.export.own.outputs import Runner, facts
from models.export.own.shaken import nudged, shaken
from models.export.recipe import INPUT_SEED
from models.given import Given
from results import records
from results.records import MAX_TEXT, OutputSpec

# Relative noise at the input that does to a decision what right runtimes of that precision may, and somewhat more.
_NOISE: dict[Precision, float] = {
    "fp32": 3e-5,
    "fp16": 1e-3,
    "bf16": 1e-2,
    "int8": 4e-3,
    "int16x8": 1e-4,
    "int4": 1e-3,
}
_PAIRS = 4
_TRY_S = 20.0

# What this machine or NumPy lacks, besides the runtime: the file may be sound, and run elsewhere.
_HERE_ONLY = re.compile("bad_alloc|[Ff]ailed to allocate|No corresponding Numpy type")


class DoesNotRun(Exception):
    """The file is broken, or does not take these inputs; in the runtime's words."""


@dataclass
class Reference:
    """Outputs and what is known of each; without any, `missing` says why.

    `free` are masks, by the position of an output, of elements that the last bits of a float decide.
    """

    outputs: list[NDArray[Any]] = field(default_factory=list)
    specs: list[OutputSpec] = field(default_factory=list)
    free: dict[int, NDArray[Any]] = field(default_factory=dict)
    missing: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def nonfinite(self) -> str:
        """Which outputs hold NaN or infinities that nobody asked for, in words."""
        words = []
        for spec, array in zip(self.specs, self.outputs, strict=True):
            count = int(array.size - np.count_nonzero(np.isfinite(array))) if spec.kind == "float" else 0
            if count and not spec.nonfinite and not spec.unchecked:
                words.append(f"{spec.name}: {count} of {array.size} values are NaN or infinite")
        return shortened("; ".join(words))


def compute(load: Callable[[], Runner], fed: Sequence[NDArray[Any]], precision: Precision, given: Given) -> Reference:
    """Run a file on this host, and find out how far its outputs hang on last bits. Raises DoesNotRun.

    `precision` is what it computes in, `given` what the user says of its outputs.
    """
    try:
        runner = load()
        first, second = runner(fed), runner(fed)
    except MemoryError:
        return Reference(missing="this machine has not enough memory to run it")
    except Exception as exc:  # the runtimes raise classes of their own, some of them undocumented
        message = shortened(str(exc))
        if not (is_lacking(str(exc)) or _HERE_ONLY.search(str(exc))):
            raise DoesNotRun(message) from exc
        return Reference(missing=f"the runtime on this machine cannot run it: {message}")
    for name, one in zip(runner.output_names, first, strict=True):
        if not isinstance(one, np.ndarray | np.generic) or one.dtype.kind not in "fiub":
            return Reference(missing=f"output {name} is not a tensor of numbers")
    found = _Comparison(runner, fed, [np.asarray(one) for one in first], precision, given)
    for index, two in enumerate(second):
        if not _same(found.outputs[index], np.asarray(two)):
            found.unchecked[index] = "differs from run to run on the same input"
    return found.reference()


class _Comparison:
    """How the outputs of one model are to be compared."""

    def __init__(
        self,
        runner: Runner,
        fed: Sequence[NDArray[Any]],
        outputs: list[NDArray[Any]],
        precision: Precision,
        given: Given,
    ) -> None:
        self.outputs = outputs
        self.unchecked: dict[int, str] = {}
        self._runner, self._fed, self._precision, self._given = runner, fed, precision, given
        self._facts = facts(runner)
        names = [name[:MAX_TEXT] for name in runner.output_names]
        self._specs = [self._spec(*one) for one in enumerate(zip(names, outputs, strict=True))]
        self._free = {index: np.zeros(array.shape, bool) for index, array in enumerate(outputs)}

    def reference(self) -> Reference:
        """Everything that is found out."""
        if len(self.unchecked) < len(self.outputs):
            other = self._other()
            if self._facts.selects or any(spec.kind == "exact" for spec in self._specs):
                self._find_undecided(other)
            self._set_steps(other)
        specs, notes = [], []
        for index, spec in enumerate(self._specs):
            count = int(np.count_nonzero(self._free[index]))
            if 2 * count > spec_size(spec) and index not in self.unchecked:
                self.unchecked[index] = "most of it hangs on the last bits of a float"
            if index in self.unchecked:
                count = 0
            elif count:
                words = f"{count} of {spec_size(spec)} elements hang on the last bits of a float, and are not compared"
                notes.append(f"output {spec.name}: {words}")
            specs.append(spec.model_copy(update={"free": count, "unchecked": self.unchecked.get(index, "")}))
        if self.outputs and all(spec.unchecked for spec in specs):
            return Reference(missing=f"output {specs[0].name} {specs[0].unchecked}")
        free = {index: self._free[index] for index, spec in enumerate(specs) if spec.free}
        return Reference(self.outputs, specs, free, notes=notes)

    def _spec(self, index: int, named: tuple[str, NDArray[Any]]) -> OutputSpec:
        name, array = named
        given = self._given.output(name, index)
        scale, zero = self._facts.scales.get(index, (None, 0)) if array.dtype.kind in "iu" else (None, 0)
        steps, tolerance = given.steps, given.tolerance
        if scale is not None and steps is None and tolerance is not None:
            largest = float(np.max(np.abs(array.astype(np.float64) - zero), initial=0.0))
            steps, tolerance = relative_steps(tolerance, largest), None
        return OutputSpec(
            name=name,
            dtype=array.dtype.name,
            shape=array.shape,
            scale=scale,
            zero_point=zero,
            tolerance=tolerance if array.dtype.kind == "f" else None,
            steps=steps if array.dtype.kind in "iu" else None,
            nonfinite=bool(given.nonfinite),
        )

    def _other(self) -> list[Any] | None:
        """What other kernels of this host make of the same input, where it matters and they run."""
        if all(spec.kind == "float" for spec in self._specs):
            return None
        return self._tried(self._runner.other, self._fed)

    def _set_steps(self, other: list[Any] | None) -> None:
        """Let quantized outputs be off by as much as right computations are, where the user does not say how far."""
        for index, spec in enumerate(self._specs):
            if spec.kind != "quantized" or spec.steps is not None:
                continue
            most = rms = 0.0
            if other is not None and np.shape(other[index]) == spec.shape and self.outputs[index].size:
                off = np.asarray(other[index]).astype(np.float64) - self.outputs[index]
                most, rms = float(np.max(np.abs(off))), float(np.sqrt(np.mean(off**2)))
            steps, steps_rms = step_limits(spec.dtype, most, rms, self._facts.layers)
            self._specs[index] = spec.model_copy(update={"steps": steps, "steps_rms": steps_rms})

    def _find_undecided(self, other: list[Any] | None) -> None:
        """Mark what changes with noise as small as runtimes differ by, or with other kernels."""
        begun, level = time.monotonic(), _NOISE[self._precision]
        for number in range(2 * _PAIRS):
            if time.monotonic() - begun > _TRY_S:
                break
            # Of two noises of opposite sign, one moves a decision the other way.
            tried = self._tried_with(level, 1 - 2 * (number % 2), INPUT_SEED + number // 2)
            if tried is not None:
                self._mark(tried, most=1.0)
        if other is not None:
            # Kernels that differ in more than that are no measure of last bits: one of them may be wrong.
            self._mark(other, most=0.1)

    def _tried_with(self, level: float, sign: int, seed: int) -> list[Any] | None:
        """What comes out with noise on the inputs and on the weights."""
        rng = np.random.default_rng(seed)
        fed = nudged(self._fed, level, sign, rng) or self._fed
        try:
            with shaken(self._runner, level, sign, rng) as runner:
                return self._tried(lambda: runner or self._runner, fed)
        except Exception:  # noqa: BLE001 - a file that can be measured need not be one that can be written anew
            return self._tried(lambda: self._runner, fed)

    def _mark(self, tried: list[Any], most: float) -> None:
        for index, (spec, reference, array) in enumerate(zip(self._specs, self.outputs, tried, strict=True)):
            if np.shape(array) != spec.shape:
                self.unchecked.setdefault(index, "its shape hangs on the last bits of a float")
                continue
            changed = self._changed(spec, reference, np.asarray(array))
            if changed is not None and np.count_nonzero(changed) <= most * changed.size:
                self._free[index] |= changed

    def _changed(self, spec: OutputSpec, reference: NDArray[Any], array: NDArray[Any]) -> NDArray[Any] | None:
        if spec.kind == "exact":
            return np.asarray(array != reference)
        if spec.kind == "quantized" or not reference.size:
            return None
        one, two = reference.astype(np.float64), array.astype(np.float64)
        finite = np.isfinite(one)
        largest = float(np.max(np.abs(one), where=finite, initial=0.0))
        limit = float_limit(spec.dtype, spec.tolerance or TOLERANCES[self._precision], largest)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(finite & ~(np.abs(two - one) <= limit))

    def _tried(self, load: Callable[[], Runner], fed: Sequence[NDArray[Any]]) -> list[Any] | None:
        try:
            outputs = load()(fed)
        except Exception:  # noqa: BLE001 - a kernel that is not measured may fail as it likes
            return None
        return outputs if len(outputs) == len(self.outputs) else None


def spec_size(spec: OutputSpec) -> int:
    """The number of elements."""
    return int(np.prod(spec.shape, dtype=object))


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    if one.shape != two.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, two))
    return bool(np.allclose(one, two, rtol=1e-5, atol=1e-6, equal_nan=True))


def shortened(message: str) -> str:
    """A runtime's message in plain words, with room beside it in a reason."""
    return records.shortened(plain(message).rstrip("."), 3000)
