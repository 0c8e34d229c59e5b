"""The timed loops of one restart."""

import gc
import time
from typing import Any, Callable, Dict, List, Tuple

from harness.agent import noise

# Warm-up is over when the medians of two neighboring windows of this many inferences differ by less than that.
WINDOW = 10
STABLE_WITHIN = 0.05

MAX_SAMPLES = 1000000

# A median is not stated of fewer (`results.judge.statistics.minimum_samples`).
FEWEST_KEPT = 11

PROBE_EVERY_NS, MAX_PROBES = 10000000, 6000

# What asks the kernel costs the next inference half a microsecond, so that those that are shorter are marked together.
MARK_EVERY_NS = 200000


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


def measure(run: Callable[[], None], profile: Dict[str, Any], threads: int, may_shield: bool = True) -> Dict[str, Any]:
    """Time inferences one by one, back to back, until the minimum count AND time, at most the maximum time.

    Where fewer than half of them kept their core, as many again are timed under real-time priority (`noise.Shield`), if
    that is allowed. Returns the parts of the `samples` event (`harness.agent.jobs.latency`). `threads` is how many the
    runtime computes with.
    """
    timed = Timed(run, profile, noise.watch())
    gc.collect()
    gc.disable()
    timed.go_on()
    marks = timed.marks()
    if timed.is_contended:
        marks["unshielded"] = "switched off for this device"
        if may_shield:
            with noise.Shield(threads) as shield:
                marks["unshielded"] = shield.refused
                if not shield.refused:
                    marks["shielded_from"] = len(timed.samples_ns)
                    timed.go_on()
                    marks["disturbed"] = noise.packed(timed.disturbed)
    gc.enable()
    return {"ns": timed.samples_ns, "noise": marks or None, "probes": timed.probes}


class Timed:
    """The inferences of one restart with their marks; `watch` makes them, None where nothing can."""

    def __init__(self, run: Callable[[], None], profile: Dict[str, Any], watch: Any) -> None:
        self._run = run
        self._watch = watch
        self._least = min(int(profile["min_iterations"]), MAX_SAMPLES)
        self._min_ns = int(profile["min_seconds"] * 1e9)
        self._max_ns = int(profile["max_seconds"] * 1e9)
        self.samples_ns = []  # type: List[int]
        self.disturbed = bytearray()
        self.probes = []  # type: List[Tuple[int, int]]
        self._pause_ns = max(PROBE_EVERY_NS, self._max_ns // MAX_PROBES)

    def go_on(self) -> None:
        """Time one part: between two inferences nothing happens but clock reads, a look at the marks and an append.

        And a probe of the core's speed now and then, of some 20 microseconds each time.
        """
        samples, disturbed = self.samples_ns, self.disturbed
        run, clock = self._run, time.perf_counter_ns
        is_disturbed = self._watch.is_disturbed if self._watch else None
        least = len(samples) + self._least
        if is_disturbed:
            is_disturbed(0)  # what happened before the first one is not its own
        probes, pause_ns = self.probes, self._pause_ns
        begun = probed = marked = clock()
        probes.append((len(samples), noise.probe_ns()))
        while len(samples) < MAX_SAMPLES:
            start = clock()
            run()
            end = clock()
            samples.append(end - start)
            if is_disturbed and end - marked >= MARK_EVERY_NS:
                disturbed.extend([is_disturbed(end - marked)] * (len(samples) - len(disturbed)))
                marked = clock()
            if end - probed >= pause_ns:
                probes.append((len(samples), noise.probe_ns()))
                probed = clock()
            elapsed = end - begun
            if (len(samples) >= least and elapsed >= self._min_ns) or elapsed >= self._max_ns:
                break
        if is_disturbed and len(disturbed) < len(samples):
            disturbed.extend([is_disturbed(end - marked)] * (len(samples) - len(disturbed)))
        probes.append((len(samples), noise.probe_ns()))

    @property
    def is_contended(self) -> bool:
        """Whether too few of them kept their core."""
        kept = len(self.disturbed) - sum(self.disturbed)
        return 2 * kept < len(self.disturbed) or kept < min(FEWEST_KEPT, len(self.disturbed))

    def marks(self) -> Dict[str, Any]:
        """Return what `results.records.Noise` holds; nothing where nothing marked them."""
        if not self._watch:
            return {}
        return {
            "marked_by": self._watch.name,
            "disturbed": noise.packed(self.disturbed),
            "lost_ns": self._watch.lost_ns,
            "shielded_from": None,
            "unshielded": "",
        }
