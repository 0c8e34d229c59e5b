"""The check before timing: does the runtime compute what the artifact's reference outputs say?

The host says by which rule each output is compared and how far it may be off; it compares again what is told here.
"""

import math
from typing import Any, Dict, List, Optional, Tuple

from harness.agent.failures import WrongOutput

MOST_DB = 200.0  # also the ratio of an output that is equal to the last bit

Reference = Tuple[Any, Optional[Any]]
"""The array, and a mask of the elements that are not compared."""


def compare(
    outputs: List[Any], references: List[Reference], rules: List[Dict[str, Any]]
) -> List[Optional[Dict[str, Any]]]:
    """Return for each output how far it is off, None for one that is not compared. Raises WrongOutput.

    A rule has a `kind`: `float` and `quantized` numbers may be off by `allowed` in their own unit (a quantized one's is
    its step) and by `allowed_rms` in the root mean square, None for any; of a `noisy` output, computed in a lower
    precision than its reference, the signal-to-noise ratio must be at least `least_snr_db`; an `exact` output must be
    equal; one of any other kind is not compared. NaN and infinities must stand in the same places where the rule says
    `nonfinite`; else an element is not compared where the reference is not finite, and must be finite elsewhere.
    """
    if len(outputs) != len(rules):
        raise WrongOutput("{} outputs, expected {}".format(len(outputs), len(rules)))
    found = []  # type: List[Optional[Dict[str, Any]]]
    for index, (output, (reference, free), rule) in enumerate(zip(outputs, references, rules)):
        if rule["kind"] not in _KINDS:
            found.append(None)
            continue
        name = "output {}".format(" ".join([str(index), str(rule.get("name", ""))]).strip())
        if output.shape != reference.shape:
            raise WrongOutput("{} has shape {}, expected {}".format(name, output.shape, reference.shape))
        found.append(_KINDS[rule["kind"]](name, output, reference, free, rule))
    return found


def _exact(name: str, output: Any, reference: Any, free: Optional[Any], _rule: Dict[str, Any]) -> Dict[str, Any]:
    import numpy as np

    differ = np.asarray(output != reference)
    if free is not None:
        differ = differ & ~free
    count = int(np.count_nonzero(differ))
    if count:
        raise WrongOutput("{}: {} of {} integers differ".format(name, count, reference.size))
    return {"off": 0.0, "rms": 0.0, "snr_db": None, "top1_agreement": None}


def _numbers(name: str, output: Any, reference: Any, free: Optional[Any], rule: Dict[str, Any]) -> Dict[str, Any]:
    import numpy as np

    expected, found = reference.astype(np.float64), output.astype(np.float64)
    compared = np.isfinite(expected)
    if free is not None:
        compared &= ~free
    _check_finite(name, found, expected, free, bool(rule.get("nonfinite")))
    with np.errstate(over="ignore"):
        off = np.where(compared, found, 0.0) - np.where(compared, expected, 0.0)
    count = int(np.count_nonzero(compared))
    worst = float(np.max(np.abs(off), initial=0.0))
    is_quantized, allowed, allowed_rms = rule["kind"] == "quantized", rule["allowed"], rule.get("allowed_rms")
    unit = " steps" if is_quantized else ""
    if not worst <= allowed:  # also for infinity; any finite one will do of a noisy output
        raise WrongOutput("{} is off by {:.3g}{}, allowed {:.3g}".format(name, worst, unit, allowed))
    # Divided by the largest first, so that no square overflows.
    rms = worst * math.sqrt(float(np.sum((off / worst) ** 2)) / count) if worst else 0.0
    if allowed_rms is not None and rms > allowed_rms:
        words = "{} is off by {:.3g}{} in the root mean square, allowed {:.3g}"
        raise WrongOutput(words.format(name, rms, unit, allowed_rms))
    zero = float(rule.get("zero_point", 0)) if is_quantized else 0.0
    ratio = snr_db(np.where(compared, expected - zero, 0.0), off) if count else None
    least = rule.get("least_snr_db")
    if least is not None and ratio is not None and ratio < least:
        words = "{} has a signal-to-noise ratio of {:.1f} dB, at least {:.1f} dB expected"
        raise WrongOutput(words.format(name, ratio, least))
    return {
        "off": worst,
        "rms": rms,
        "snr_db": ratio,
        "top1_agreement": top1_agreement(expected, found),
    }


def _check_finite(name: str, found: Any, expected: Any, free: Optional[Any], is_expected: bool) -> None:
    import numpy as np

    finite = np.isfinite(expected)
    wrong = finite & ~np.isfinite(found)
    if is_expected:
        with np.errstate(invalid="ignore"):
            same = (np.isnan(found) & np.isnan(expected)) | (found == expected)
        wrong = wrong | (~finite & ~same)
    if free is not None:
        wrong = wrong & ~free
    if wrong.any():
        where = "has NaN or infinite values where the reference has none"
        if not (wrong & finite).any():
            where = "has others than the NaN and infinite values of the reference"
        raise WrongOutput("{} {}".format(name, where))


_KINDS = {"exact": _exact, "float": _numbers, "noisy": _numbers, "quantized": _numbers}


def snr_db(signal: Any, noise: Any) -> float:
    """Return the signal-to-noise ratio in dB, between -MOST_DB and MOST_DB."""
    import numpy as np

    most, worst = float(np.max(np.abs(signal), initial=0.0)), float(np.max(np.abs(noise), initial=0.0))
    if not worst:
        return MOST_DB
    if not most:
        return -MOST_DB
    ratio = float(np.sum((signal / most) ** 2)) / float(np.sum((noise / worst) ** 2))
    decibels = 10 * math.log10(ratio) + 20 * (math.log10(most) - math.log10(worst))
    return max(-MOST_DB, min(MOST_DB, decibels))


def top1_agreement(expected: Any, found: Any) -> Optional[float]:
    """Return the share of score vectors that are largest in the same place; None for what holds no such vectors.

    The first dimension is the batch, and one other is longer than 1: that of the classes. Where the reference is
    largest in several places, each of them is right.
    """
    import numpy as np

    if expected.ndim < 2 or sum(size > 1 for size in expected.shape[1:]) != 1 or not expected.size:
        return None
    scores, answers = (array.reshape(array.shape[0], -1) for array in (expected, found))
    known = np.isfinite(scores).all(axis=1) & np.isfinite(answers).all(axis=1)
    if not known.any():
        return None
    scores, answers = scores[known], answers[known]
    chosen = np.take_along_axis(scores, np.argmax(answers, axis=1)[:, None], axis=1)[:, 0]
    return float(np.mean(chosen == scores.max(axis=1)))
