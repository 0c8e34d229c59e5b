"""Whether a model is as accurate as it should be. Pure.

The reference of a model is the accuracy that is known of it: that of a trained network in PyTorch, or what the TOML
beside an own file states. It is used where it is of the same data set and metric; a model that names none is held
against what was published of it on the same. A drop is a failed check when it is

- beyond the threshold, the user's own or, for what only rounds otherwise (fp32, fp16, bf16), `THRESHOLDS`: fewer bits
  of an integer cost accuracy by design, so without a threshold of the user's int8 is shown and not judged; and
- beyond noise: where the reference was measured on these very samples there is none, as the same answers give the same
  figure, and the drop counts as it is. Else the whole interval must lie below what is allowed.
"""

from __future__ import annotations

from results.records import Accuracy, Evaluated, ModelFacts

THRESHOLDS = {"fp32": 0.5, "fp16": 0.5, "bf16": 1.0}
"""Percentage points; bf16 has 8 bits of a mantissa where fp16 has 11."""


def held_against(found: Evaluated, title: str, model: ModelFacts | None, precision: str) -> Evaluated:
    """The evaluation with what became of the check; `title` is that of its data set."""
    if model is None:
        return found
    known = [one for one in (model.reference, *model.accuracies) if one is not None]
    same = [one for one in known if (one.metric, one.dataset.replace(":", " ")) == (found.metric, title)]
    reference = model.reference or next(iter(same), None)  # a data set may be named as options name it
    if reference is None:
        return found
    if reference not in same:
        words = f"its reference is {reference.value:.4g} {reference.metric} on {reference.dataset}: not compared"
        return found.model_copy(update={"notes": (*found.notes, words)})
    threshold = THRESHOLDS.get(precision) if model.threshold is None else model.threshold
    drop = round(reference.value - found.value, 6)
    check = ""
    if threshold is not None and drop > threshold and _is_beyond_noise(found, reference, threshold):
        check = (
            f"{found.value:.4g} {found.metric} on {title} is {drop:.3g} points below the reference of "
            f"{reference.value:.4g}, and {threshold:g} are allowed"
        )
    return found.model_copy(update={"reference": reference.value, "threshold": threshold, "drop": drop, "check": check})


def _is_beyond_noise(found: Evaluated, reference: Accuracy, threshold: float) -> bool:
    are_same = reference.samples == found.samples == found.total
    return are_same or found.ci95 is None or found.ci95[1] < reference.value - threshold
