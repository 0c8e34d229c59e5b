"""The check before timing: does the runtime compute what the artifact's reference output says?"""

from typing import Any, List, Optional

from harness.agent.failures import WrongOutput

# The tolerance of an output that is all but zero is that of one of this size.
SMALLEST_OUTPUT = 1e-6


def compare(outputs: List[Any], references: List[Any], tolerance: float) -> Optional[float]:
    """Return the largest absolute difference, None when there is no reference.

    `tolerance` is relative to the largest magnitude in the reference output: an element may be off by that fraction of
    it. Integers and booleans must be equal, non-finite values must stand in the same places.
    Raises WrongOutput.
    """
    if not references:
        return None
    if len(outputs) != len(references):
        raise WrongOutput("{} outputs, expected {}".format(len(outputs), len(references)))
    return max(_difference(index, *pair, tolerance=tolerance) for index, pair in enumerate(zip(outputs, references)))


def _difference(index: int, output: Any, reference: Any, tolerance: float) -> float:
    import numpy as np

    if output.shape != reference.shape:
        raise WrongOutput("output {} has shape {}, expected {}".format(index, output.shape, reference.shape))
    if reference.size == 0:
        return 0.0
    if reference.dtype.kind != "f":
        if not np.array_equal(output, reference):
            count = int(np.sum(output != reference))
            raise WrongOutput("output {}: {} of {} integers differ".format(index, count, reference.size))
        return 0.0
    finite = np.isfinite(reference)
    if not np.array_equal(np.isfinite(output), finite):
        raise WrongOutput("output {} has NaN or infinite values where the reference has none".format(index))
    expected = reference[finite].astype(np.float64)
    if expected.size == 0:
        return 0.0
    worst = float(np.max(np.abs(output[finite].astype(np.float64) - expected)))
    allowed = tolerance * max(float(np.max(np.abs(expected))), SMALLEST_OUTPUT)
    if worst > allowed:
        raise WrongOutput("output {} is off by {:.3g}, allowed {:.3g}".format(index, worst, allowed))
    return worst
