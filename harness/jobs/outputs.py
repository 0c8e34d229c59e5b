"""What is right: by which rule each output of an artifact is compared, and what is to be believed of a comparison."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.jobs.base import Said
from models import comparison
from models.artifacts import Artifact
from results.records import MOST_DB, OutputSpec, shortened

MAX_OUTPUTS = 4096

NOTHING_SHOWN = "the backend shows no output"


@dataclass(frozen=True)
class Rule:
    """By which rule an output is compared (`harness.agent.verify.compare`).

    `unchecked` says why it is not compared, `nonfinite_words` which values of the reference are not finite although
    nobody asked for any; each is "" where there is nothing to say.
    """

    name: str
    kind: Literal["float", "noisy", "quantized", "exact", "unchecked"]
    allowed: float = 0.0
    allowed_rms: float | None = None
    zero_point: int = 0
    least_snr_db: float | None = None
    nonfinite: bool = False
    unchecked: str = ""
    nonfinite_words: str = ""


class Compared(Said):
    """How far one output is off by the device's account: at most, and in the root mean square."""

    off: Annotated[float, Field(ge=0)]
    rms: Annotated[float, Field(ge=0)] = 0.0
    snr_db: Annotated[float, Field(ge=-MOST_DB, le=MOST_DB)] | None = None
    top1_agreement: Annotated[float, Field(ge=0, le=1)] | None = None


def rules(artifact: Artifact, io: Path, hinted: str = "") -> tuple[Rule, ...]:
    """The rules of an artifact's outputs; none where there is no reference, or `io` cannot be read.

    That it cannot is told when it is pushed. `hinted` is a precision that the runtime itself is to compute in.
    """
    known = dict(enumerate(artifact.outputs))
    return tuple(
        _rule(known.get(index) or OutputSpec(name="", dtype=seen.dtype, shape=()), artifact.tolerance, hinted, seen)
        for index, seen in enumerate(_references(io))
    )


def _rule(spec: OutputSpec, tolerance: float, hinted: str, seen: _Reference) -> Rule:
    name = spec.name[:200]
    if spec.unchecked:
        return Rule(name, "unchecked", unchecked=spec.unchecked)
    unasked = seen.nonfinite and not spec.nonfinite
    words = f"{seen.nonfinite} of {seen.size} values of its reference are NaN or infinite" if unasked else ""
    more: dict[str, Any] = {"nonfinite": spec.nonfinite, "nonfinite_words": words}
    if spec.kind == "exact":
        return Rule(name, "exact", **more)
    least = comparison.LEAST_SNR_DB.get(hinted, spec.least_snr_db)
    if spec.kind == "float" and least is not None:
        return Rule(name, "noisy", sys.float_info.max, least_snr_db=least, **more)
    if spec.kind == "float":
        allowed = comparison.float_limit(spec.dtype, spec.tolerance or tolerance, seen.largest)
        return Rule(name, "float", allowed, **more)
    steps, rms = (comparison.STEPS, comparison.STEPS_RMS) if spec.steps is None else (spec.steps, spec.steps_rms)
    return Rule(name, "quantized", steps, rms, spec.zero_point, **more)


class _Reference(NamedTuple):
    dtype: str
    size: int
    nonfinite: int
    largest: float


@cache
def _references(io: Path) -> tuple[_Reference, ...]:
    """What has to be known of the reference outputs in an artifact's io.npz."""
    try:
        with np.load(io, allow_pickle=False) as arrays:
            count = sum(name.startswith("out") for name in arrays.files)
            return tuple(_seen(arrays[f"out{index}"]) for index in range(count))
    except (OSError, ValueError, KeyError, BadZipFile):
        return ()


def _seen(array: NDArray[Any]) -> _Reference:
    if array.dtype.kind != "f":
        return _Reference(array.dtype.name, array.size, 0, 0.0)
    finite = np.isfinite(array)
    largest = float(np.max(np.abs(array.astype(np.float64)), where=finite, initial=0.0))
    return _Reference(array.dtype.name, array.size, int(array.size - np.count_nonzero(finite)), largest)


def judge(rules: Sequence[Rule], told: Sequence[Compared | None]) -> dict[str, Any]:
    """What is to be believed of the comparison, under the names of `Restart`.

    This host holds the differences against its own rules; `max_abs_diff` is that of the output which comes closest to
    its limit, `tolerance`, or goes farthest beyond it.
    """
    if not rules:
        return {}
    if not told:
        return {"unverified": NOTHING_SHOWN}
    if len(told) != len(rules):
        words = f"the device tells of {len(told)} outputs, and the model has {len(rules)}"
        return {"outcome": "failed", "cause": "implausible", "reason": words}
    pairs = [(rule, one) for rule, one in zip(rules, told, strict=True) if rule.kind != "unchecked" and one is not None]
    unverified = [words for rule, one in zip(rules, told, strict=True) if (words := _why_not(rule, one))]
    for rule, one in pairs:
        if rule.least_snr_db is not None and one.snr_db is not None and one.snr_db < rule.least_snr_db:
            words = f"output {rule.name}: {one.snr_db:.1f} dB, at least {rule.least_snr_db:.1f} dB expected"
            return {"outcome": "failed", "cause": "wrong-output", "reason": f"wrong output: {words}"}
    worst = max((limit for pair in pairs for limit in _limits(*pair)), key=_share, default=(None, None))
    return {
        "verified": not unverified,
        "unverified": shortened("; ".join(unverified)),
        "max_abs_diff": worst[0],
        "tolerance": worst[1],
        "snr_db": min((one.snr_db for _, one in pairs if one.snr_db is not None), default=None),
        "top1_agreement": min((one.top1_agreement for _, one in pairs if one.top1_agreement is not None), default=None),
    }


def _why_not(rule: Rule, one: Compared | None) -> str:
    words = rule.unchecked or rule.nonfinite_words
    if not words and (one is None or (rule.kind == "noisy" and one.snr_db is None)):
        words = "the device did not compare it"
    return f"output {rule.name}: {words}" if words else ""


def _limits(rule: Rule, one: Compared) -> list[tuple[float, float]]:
    """The differences with what is allowed; the root mean square only where it is beyond, none of a noisy output."""
    if rule.kind == "noisy":
        return []
    found = [(one.off, rule.allowed)]
    if rule.allowed_rms is not None and one.rms > rule.allowed_rms:
        found.append((one.rms, rule.allowed_rms))
    return found


def _share(limit: tuple[float, float]) -> float:
    off, allowed = limit
    return off / allowed if allowed else float("inf") if off > 0 else 0.0
