"""What a row says in words: of the file that ran, of what the runtime told, and of what was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from results.judge import placement
from results.records import ArtifactFacts, Case, Restart, shortened

_TYPES = {"f32": "fp32", "f16": "fp16", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "int8"}
"""What runtimes call the one precision that they compute in, where they tell it."""


DESTROYED_DB = 3.0
"""Below this ratio noise is half as strong as the signal or stronger: the outputs of a file mean nothing any more."""


def file(file: ArtifactFacts | None) -> dict[str, Any]:
    """What the row says of the file that ran."""
    if file is None:
        return {}
    return {
        "inputs": file.inputs,
        "batch": file.batch,
        "signature": file.signature,
        "shapes_fixed": file.shapes_fixed,
        "weights_precision": file.weights,
        "activations_precision": file.activations,
        "nonfinite": file.nonfinite,
        "size_bytes": file.size_bytes,
        "destroyed": _destroyed(file),
        "quality": file.quality,
    }


def _destroyed(file: ArtifactFacts) -> str:
    """That making the precision has left nothing of what the model computes."""
    found = file.quality
    if found is None or found.snr_db >= DESTROYED_DB:
        return ""
    agrees = "" if found.top1_agreement is None else f", equal in {found.top1_agreement:.0%} of first places"
    return f"a signal-to-noise ratio of {found.snr_db:.1f} dB on {found.samples} inputs against fp32{agrees}"


def unverified(ok: Sequence[Restart], file: ArtifactFacts | None) -> str:
    """Why the output was not compared with a reference in every restart that brought numbers."""
    unchecked = [restart for restart in ok if not restart.verified]
    if not unchecked:
        return ""
    if any(restart.unverified for restart in unchecked):
        return _counted([restart.unverified for restart in unchecked], len(ok))
    if all(is_aggregate(restart) for restart in unchecked):
        return "the tool that measured gives no output"
    return file.unverified if file is not None and file.unverified else "there is no reference to compare with"


def computed_in(actual: Mapping[str, Any]) -> str:
    """The types that the runtime says it computes in: those of its operators, most first, or its only one."""
    told, only = actual.get("compute"), actual.get("precision")
    if isinstance(told, dict):
        counts = {str(name): count for name, count in told.items() if type(count) is int and count > 0}
        if counts:
            return shortened(" + ".join(sorted(counts, key=lambda name: (-counts[name], name))))
    return _TYPES.get(only, "") if isinstance(only, str) else ""


def notes(case: Case, ok: Sequence[Restart], file: ArtifactFacts | None, weights: str) -> tuple[str, ...]:
    """What was decided for the user, that trained weights were calibrated on made-up images, threads shared cores."""
    notes = list(file.notes) if file is not None else []
    source = file.calibration if file is not None else None
    if source is not None and source.name.startswith("synthetic") and weights != "random":
        notes.append(f"calibrated on {source.name}: give images like those it was trained on with --calibration")
    allowed = {count for restart in ok if type(count := restart.actual.get("cores_allowed")) is int and count > 0}
    if allowed and case.threads > min(allowed):
        cores = f"{min(allowed)} core{'' if min(allowed) == 1 else 's'}"
        notes.append(f"{case.threads} threads on {cores}: they take turns")
    return tuple(notes)


def in_words(ok: Sequence[Restart], key: str) -> str:
    """What the restarts say under a key of `actual`; what only some of them say comes with how many."""
    return _counted([words for restart in ok if isinstance(words := restart.actual.get(key), str)], len(ok))


def fallback(ok: Sequence[Restart]) -> str:
    """What of the accelerators asked for was not given, and its share of the multiply-adds."""
    return _counted([placement.fallback(restart.actual) for restart in ok], len(ok))


def _counted(said: Iterable[str], restarts: int) -> str:
    return shortened(
        "; ".join(
            words if count == restarts else f"{words} (in {count} of {restarts} restarts)"
            for words, count in Counter(filter(None, said)).items()
        )
    )


def is_aggregate(restart: Restart) -> bool:
    """Whether each sample stands for many inferences, see `backends.base.Session.actual`."""
    return bool(restart.actual.get("aggregates"))
