"""The timed loops of one restart."""

import gc
import time
from typing import Any, Callable, Dict, List, Tuple

# Warm-up is over when the medians of two neighboring windows of this many inferences differ by less than that.
WINDOW = 10
STABLE_WITHIN = 0.05

MAX_SAMPLES = 1000000


def time_once(run: Callable[[], None]) -> int:
    """Run once and return the nanoseconds it took on the monotonic clock."""
    start = time.perf_counter_ns()
    run()
    return time.perf_counter_ns() - start


def median(values: List[int]) -> float:
    """Return the median; `statistics` would cost 10 ms of import on a small board."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def is_stable(samples: List[int]) -> bool:
    """Tell whether the two halves of the last 2 x WINDOW samples (fewer while there are only six) agree."""
    window = min(WINDOW, len(samples) // 2)
    if window < 3:
        return False
    before, after = median(samples[-2 * window : -window]), median(samples[-window:])
    return abs(after - before) <= STABLE_WITHIN * before


def warm_up(run: Callable[[], None], profile: Dict[str, Any]) -> Tuple[List[int], bool]:
    """Run until at least the minimum count AND time have passed and the times are stable, or the maximum time is over.

    Returns the nanoseconds of each inference, and whether they became stable.
    """
    least = int(profile["warmup_min_iterations"])
    min_ns = int(profile["warmup_min_seconds"] * 1e9)
    max_ns = int(profile["warmup_max_seconds"] * 1e9)
    samples = []  # type: List[int]
    begun = time.perf_counter_ns()
    while True:
        samples.append(time_once(run))
        elapsed = time.perf_counter_ns() - begun
        if len(samples) >= least and elapsed >= min_ns and is_stable(samples):
            return samples, True
        if elapsed >= max_ns or len(samples) >= MAX_SAMPLES:
            return samples, False


def measure(run: Callable[[], None], profile: Dict[str, Any]) -> List[int]:
    """Time inferences one by one, back to back, until the minimum count AND time, at most the maximum time.

    The garbage collector is off; between two inferences nothing happens but clock reads and an append.
    """
    least = min(int(profile["min_iterations"]), MAX_SAMPLES)
    min_ns = int(profile["min_seconds"] * 1e9)
    max_ns = int(profile["max_seconds"] * 1e9)
    samples = []  # type: List[int]
    clock = time.perf_counter_ns
    gc.collect()
    gc.disable()
    begun = clock()
    while len(samples) < MAX_SAMPLES:
        start = clock()
        run()
        end = clock()
        samples.append(end - start)
        elapsed = end - begun
        if (len(samples) >= least and elapsed >= min_ns) or elapsed >= max_ns:
            break
    gc.enable()
    return samples
