"""Inferences back to back for minutes: of each span a point of a curve; an early end where the device gets too hot."""

import gc
import time
from typing import Any, Callable, Dict, List, Optional

from harness.agent import measure, noise, telemetry

MAX_POINTS = 1000

# Android's thermal status from which on the device protects itself; 6 is shutdown.
CRITICAL_STATUS = 4

# To ask a device how warm it is costs at most this share of the time: on a phone it takes a tenth of a second.
READING_SHARE = 0.01


def curve(
    run: Callable[[], None], profile: Dict[str, Any], critical_c: Optional[float] = None, root: str = "/"
) -> Dict[str, Any]:
    """Return the parts of the `curve` event (`harness.agent.jobs.latency`).

    A span ends with the first inference that is over `span_seconds` after it began, the curve with the first span that
    ends after `max_seconds`. Between two spans the medians are found and the sensors read. `critical_c` is the
    temperature that ends it early, besides a status of CRITICAL_STATUS.
    """
    span_s, total_ns = profile["span_seconds"], int(profile["max_seconds"] * 1e9)
    bounds = dict(profile, min_iterations=1, min_seconds=span_s, max_seconds=span_s)
    watch, sensors = noise.watch(root), _Sensors(root, critical_c)
    points = []  # type: List[Dict[str, Any]]
    ended = ""
    gc.collect()
    gc.disable()
    begun = time.perf_counter_ns()
    while len(points) < MAX_POINTS and not ended:
        span = measure.Timed(run, bounds, watch)
        lost_before = watch.lost_ns if watch else None
        span.go_on()
        elapsed = time.perf_counter_ns() - begun
        lost_ns = None if lost_before is None else watch.lost_ns - lost_before
        points.append(dict(_summary(span), until_ns=elapsed, lost_ns=lost_ns, **sensors.read()))
        ended = sensors.too_hot
        if elapsed >= total_ns:
            break
    gc.enable()
    told = {"points": points, "marked_by": watch.name if watch else "unknown", "ended": ended}
    return {"curve": told}


def _summary(span: measure.Timed) -> Dict[str, Any]:
    """Return the medians of a span; its own latency is that of the inferences that kept their core."""
    samples, marks = span.samples_ns, span.disturbed
    own = sorted(took for took, disturbed in zip(samples, marks) if not disturbed) if marks else sorted(samples)
    return {
        "inferences": len(samples),
        "undisturbed": len(own) if marks else None,
        "median_ns": int(measure.median(own)) if own else None,
        "p90_ns": own[min(len(own) - 1, int(0.9 * len(own)))] if own else None,
        "observed_ns": int(measure.median(samples)),
        "probe_ns": min(took for _, took in span.probes),
    }


class _Sensors:
    """How warm the device is; `too_hot` says in words that it is too warm to go on, "" while it is not."""

    def __init__(self, root: str, critical_c: Optional[float]) -> None:
        self._root = root
        self._critical_c = critical_c
        self._not_before_ns = 0
        self.too_hot = ""

    def read(self) -> Dict[str, Any]:
        """Return what there is of `temperature_c` and `frequency_khz`; nothing where a reading would cost too much."""
        start = time.perf_counter_ns()
        if start < self._not_before_ns:
            return {}
        said = telemetry.heat(self._root)
        end = time.perf_counter_ns()
        self._not_before_ns = end + int((end - start) / READING_SHARE)
        hottest = _highest(list(said.get("temperature_c", {}).values()), 200.0)
        status = said.get("thermal_status")
        if self._critical_c is not None and hottest is not None and hottest >= self._critical_c:
            self.too_hot = "{:.0f} °C, and {:g} °C is critical_temperature_c".format(hottest, self._critical_c)
        elif isinstance(status, int) and status >= CRITICAL_STATUS:
            self.too_hot = "its thermal status is {} ({} is critical)".format(status, CRITICAL_STATUS)
        return {"temperature_c": hottest, "frequency_khz": _highest(said.get("frequency_khz", []), 1e9)}


def _highest(values: List[Any], most: float) -> Optional[float]:
    """Return the largest number that makes sense: sensors that are switched off tell zero or nonsense."""
    known = [float(value) for value in values if isinstance(value, (int, float)) and 0 < value < most]
    return max(known) if known else None
